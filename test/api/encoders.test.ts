/** From a turn's events to what clients read: pure functions, checked without HTTP. */

import { expect, test } from "vitest";
import { ChatChunks, chatCompletion } from "../../shared/api/chat-chunks.ts";
import { CompletionChunks } from "../../shared/api/completion-chunks.ts";
import { encodeResponseEvent } from "../../shared/api/response-events.ts";
import { responseObject } from "../../shared/api/response-object.ts";
import { completionUsage, sumUsage } from "../../shared/api/usage.ts";
import type { LogprobRecord, ResponseRecord, TurnEvent } from "../../shared/conversation/types.ts";
import { chatChunk, chatCompletion as chatSchema } from "../../shared/protocol/chat.ts";
import { responseEvent, responseObject as responseSchema } from "../../shared/protocol/response-events.ts";
import { record } from "./fake-conversation.ts";

const sampling = {
  temperature: 1,
  topP: 1,
  topK: 0,
  minP: 0,
  typicalP: 1,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: [],
  seed: "7",
  logprobs: false,
  topLogprobs: 0,
};
const request = { model: "parrot", sampling, maxTokens: 10, stop: [], metadata: { a: "b" } };
const ids = { response: "resp_1", message: "msg_1", conversation: null, previous: null };
const envelope = { id: "chatcmpl-1", created: 5, model: "parrot", seed: 7 };

function turn(node: number, texts: readonly string[], status?: ResponseRecord["status"]): TurnEvent[] {
  const about = { node, request, input: [], inputTokens: 9, cachedTokens: 4 };
  const pieces = texts.map((text) => ({ text }));
  const response = record({ ...about, texts: pieces, ...(status ? { status } : {}) });
  return [
    { type: "start", response: record(about) },
    { type: "prefill", node, done: 1, total: 2 },
    ...texts.map((text, ordinal) => ({ type: "text" as const, node, ordinal, text })),
    { type: "end", texts: texts.length, response },
  ];
}

test("responses: official order, numbers without gaps, every event as its schema says", () => {
  const events = turn(0, ["Hel", "lo"]).flatMap((event) => encodeResponseEvent(ids, event));
  expect(events.map(({ type }) => type)).toStrictEqual([
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
  ]);
  expect(events.map((event) => event.sequence_number)).toStrictEqual([...events.keys()]);
  for (const event of events) expect(responseEvent.parse(event)).toStrictEqual(event);
  expect(events.at(-1)).toMatchObject({
    response: { output: [{ content: [{ text: "Hello" }] }], usage: { input_tokens_details: { cached_tokens: 4 } } },
  });
});

test("responses: the beginning is the same when it is read after the end", () => {
  const [start] = turn(0, ["Hello"]);
  const end = turn(0, ["Hello"]).at(-1) as Extract<TurnEvent, { type: "end" }>;
  const readLater = encodeResponseEvent(ids, { type: "start", response: end.response });
  expect(readLater).toStrictEqual(encodeResponseEvent(ids, start));
});

test.each([
  ["incomplete", "response.incomplete"],
  ["cancelled", "response.incomplete"],
  ["failed", "response.failed"],
] as const)("responses: %s ends with %s, numbers as ever", (status, type) => {
  const events = turn(0, ["x"], status).flatMap((event) => encodeResponseEvent(ids, event));
  expect(events.at(-1)).toMatchObject({ type, sequence_number: 8, response: { status } });
  expect(events.at(-2)).toMatchObject({ item: { status: "incomplete" } });
});

test("a response object is what its schema says, and says why it is incomplete", () => {
  const response = responseObject(
    ids,
    record({ node: 0, request, input: [], texts: [{ text: "x" }], status: "incomplete" }),
  );
  expect(responseSchema.parse(response)).toStrictEqual(response);
  expect(response.incomplete_details).toStrictEqual({ reason: "max_output_tokens" });
  expect(responseObject(ids, record({ node: 0, request, input: [] })).output).toStrictEqual([]);
});

test("chat: role first, then texts, one finish reason for each choice, usage last", () => {
  const chunks = new ChatChunks(envelope, [4, 5], true);
  const [startA, , textA, endA] = turn(4, ["a"]);
  const [startB, , textB, endB] = turn(5, ["b"]);
  const mixed = [startA, startB, textB, textA, endB, endA] as Exclude<TurnEvent, { type: "prefill" }>[];
  const all = [...mixed.map((event) => chunks.encode(event)), ...chunks.finish()];
  for (const chunk of all) expect(chatChunk.parse(chunk)).toStrictEqual(chunk);
  expect(all.map(({ choices }) => choices[0]?.index)).toStrictEqual([0, 1, 1, 0, 1, 0, undefined]);
  expect(all[0].choices[0].delta.role).toBe("assistant");
  expect(all.flatMap(({ choices }) => choices[0]?.finish_reason ?? [])).toStrictEqual(["stop", "stop"]);
  expect(all.slice(0, -1).every(({ usage }) => usage === null)).toBe(true);
  expect(all.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 2 } });
});

test("chat: without include_usage no chunk speaks of usage", () => {
  const chunks = new ChatChunks(envelope, [0], false);
  expect(chunks.encode(turn(0, [])[0] as never)).not.toHaveProperty("usage");
  expect(chunks.finish()).toStrictEqual([]);
});

test("chat: the reply in one piece is what its schema says", () => {
  const response = (turn(0, ["Hello"]).at(-1) as Extract<TurnEvent, { type: "end" }>).response;
  const reply = chatCompletion(envelope, [response], request.metadata);
  expect(chatSchema.parse(reply)).toStrictEqual(reply);
});

test("usage: a prompt counts once, and cached is what no choice had to process", () => {
  const usage = (inputTokens: number, cachedTokens: number, outputTokens: number) => ({
    usage: { inputTokens, cachedTokens, outputTokens, processedTokens: inputTokens - cachedTokens + outputTokens },
  });
  // The first choice processed 6 of 10, the second one started from its state.
  const both = completionUsage([usage(10, 4, 3), usage(10, 10, 2)]);
  expect(both).toStrictEqual({
    prompt_tokens: 10,
    completion_tokens: 5,
    total_tokens: 15,
    prompt_tokens_details: { cached_tokens: 4 },
    processed_tokens: 11,
  });
  expect(sumUsage([both, both])).toMatchObject({ total_tokens: 30, processed_tokens: 22 });
});

test("completions: offsets go on from chunk to chunk", () => {
  const chunks = new CompletionChunks({ ...envelope, id: "cmpl-1" }, 2);
  const token = (text: string): LogprobRecord => ({
    token: 1,
    text,
    bytes: [],
    logprob: -1,
    top: [{ token: 1, text, bytes: [], logprob: -1 }],
  });
  const encode = (ordinal: number, text: string) =>
    chunks.encode({ type: "text", node: 3, ordinal, text, logprobs: [token(text)] })!;
  encode(0, "Hello");
  const chunk = encode(1, " you");
  expect(chunk.choices[0]).toStrictEqual({
    index: 3,
    text: " you",
    logprobs: { tokens: [" you"], token_logprobs: [-1], top_logprobs: [{ " you": -1 }], text_offset: [5] },
    finish_reason: null,
  });
});
