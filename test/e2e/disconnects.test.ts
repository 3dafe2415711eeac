/**
 * Clients that really go away: what nobody can ask for later is not computed, what has an id goes on without them. Streams
 * only: a local workerd notices that a client left when it writes to it, so not before the end of a reply in one piece.
 */

import type OpenAI from "openai";
import { expect, test } from "vitest";
import { collect, hello, seeded, serve, until } from "./served.ts";

const served = serve();
const messages = [{ role: "user", content: hello }] satisfies OpenAI.Chat.ChatCompletionMessageParam[];
/** Far more than is computed before a client that leaves at once has left. */
const LONG = 16_384;
const SHORT = 1_500;

type ChatOptions = Partial<OpenAI.Chat.ChatCompletionCreateParamsStreaming>;

/** Reads the beginning of a streamed chat and closes the connection. The id of its response. */
async function leaveChat(openai: OpenAI, options: ChatOptions, headers: Record<string, string> = {}): Promise<string> {
  const params = { model: "", messages, ...(await served.endless()), ...seeded, ...options };
  const stream = await openai.chat.completions.create({ ...params, stream: true }, { headers });
  for await (const { id, choices } of stream) {
    if (!choices[0]?.delta.content) continue;
    stream.controller.abort();
    return `resp_${id.slice("chatcmpl-".length)}`;
  }
  throw new Error("the stream ended before a word was said");
}

const finished = (id: string) =>
  until(
    () => served.openai.responses.retrieve(id),
    ({ status }) => status !== "in_progress",
  );

async function wholeText(tokens: number): Promise<string> {
  const options = { ...seeded, ...(await served.endless()), max_output_tokens: tokens };
  return (await served.openai.responses.create({ input: hello, ...options })).output_text;
}

test("a streamed chat that nobody can ask for later stops", async () => {
  const response = await finished(await leaveChat(served.openai, { max_completion_tokens: LONG }));
  expect(response.status).toBe("cancelled");
  expect(response.usage?.output_tokens).toBeLessThan(LONG);
});

test("a chat goes on as long as anybody reads it", async () => {
  const params = { model: "", messages, ...(await served.endless()), ...seeded, max_completion_tokens: SHORT };
  const stream = await served.openai.chat.completions.create({ ...params, stream: true });
  let reader: Promise<OpenAI.Responses.ResponseStreamEvent[]> | null = null;
  for await (const { id } of stream) {
    const events = await served.openai.responses.retrieve(`resp_${id.slice("chatcmpl-".length)}`, { stream: true });
    reader = collect(events);
    break; // leaving the loop closes the connection
  }
  expect((await reader)?.at(-1)).toMatchObject({ response: { status: "incomplete", usage: { output_tokens: SHORT } } });
});

test("a chat that is stored goes on by itself", async () => {
  const id = await leaveChat(served.openai, { max_completion_tokens: SHORT, store: true });
  expect(await finished(id)).toMatchObject({ status: "incomplete", output_text: await wholeText(SHORT) });
});

test("a chat with an Idempotency-Key goes on, and the same request sent again gets its reply", async () => {
  const headers = { "Idempotency-Key": "left" };
  const options = { max_completion_tokens: SHORT };
  const id = await leaveChat(served.openai, options, headers);
  const params = { model: "", messages, ...(await served.endless()), ...seeded, ...options, stream: true } as const;
  const chunks = await collect(await served.openai.chat.completions.create(params, { headers }));
  expect(`resp_${chunks[0]?.id.slice("chatcmpl-".length)}`).toBe(id);
  expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("")).toBe(await wholeText(SHORT));
});

test("a response goes on without its reader and can be had whole, by its id and as events", async () => {
  const options = { ...seeded, ...(await served.endless()), max_output_tokens: SHORT };
  const stream = await served.openai.responses.create({ input: hello, ...options, stream: true });
  const seen: OpenAI.Responses.ResponseStreamEvent[] = [];
  for await (const event of stream) if (seen.push(event) === 7) break;
  const [created] = seen;
  const id = created?.type === "response.created" ? created.response.id : "";
  const rest = await collect(await served.openai.responses.retrieve(id, { stream: true, starting_after: 6 }));
  expect([...seen, ...rest].map((event) => event.sequence_number)).toStrictEqual(
    Array.from({ length: seen.length + rest.length }, (_, at) => at),
  );
  const text = [...seen, ...rest].map((event) => (event.type === "response.output_text.delta" ? event.delta : ""));
  const response = await finished(id);
  expect(text.join("")).toBe(response.output_text);
  expect(response).toMatchObject({ status: "incomplete", output_text: await wholeText(SHORT) });
});

test("behind a chat that was left, the conversation goes on at the cost of what is new", async () => {
  const left = await finished(await leaveChat(served.openai, { max_completion_tokens: LONG }));
  const next = await served.openai.responses.create({
    input: "And then?",
    previous_response_id: left.id,
    max_output_tokens: 8,
  });
  expect(next.usage?.input_tokens_details.cached_tokens).toBe(left.usage?.total_tokens);
});
