/** responses: the official client, unmodified, against the built Worker in workerd. */

import type OpenAI from "openai";
import { describe, expect, test } from "vitest";
import { collect, greedy, hello, seeded, serve, until } from "./served.ts";

type Event = OpenAI.Responses.ResponseStreamEvent;
type Options = Partial<OpenAI.Responses.ResponseCreateParamsNonStreaming>;

const served = serve();
const create = (options: Options = {}) =>
  served.openai.responses.create({ input: hello, max_output_tokens: 24, ...greedy, ...options });
const stream = async (options: Options = {}) =>
  served.openai.responses.create({ input: hello, max_output_tokens: 24, ...greedy, ...options, stream: true });
const textOf = (events: readonly Event[]) =>
  events.flatMap((event) => (event.type === "response.output_text.delta" ? [event.delta] : [])).join("");
const numbers = (events: readonly Event[]) => events.map(({ sequence_number: number }) => number);
const idOf = (event: Event | undefined) => (event?.type === "response.created" ? event.response.id : "");

describe("create and stream", () => {
  test("a response has what the official type promises, and can be retrieved as it was", async () => {
    const response = await create({ metadata: { a: "b" }, instructions: "Be kind." });
    expect(response).toMatchObject({
      id: expect.stringMatching(/^resp_/),
      object: "response",
      status: "incomplete",
      incomplete_details: { reason: "max_output_tokens" },
      instructions: "Be kind.",
      metadata: { a: "b" },
      error: null,
      tools: [],
      previous_response_id: null,
      output: [{ type: "message", role: "assistant", status: "incomplete" }],
      usage: { output_tokens: 24 },
    });
    expect(response.output_text).not.toBe("");
    expect(await served.openai.responses.retrieve(response.id)).toStrictEqual(response);
  });

  test("events come in the official order, numbered from 0 without a gap", async () => {
    const [whole, events] = [await create(), await collect(await stream())];
    const deltas = events.length - 8;
    expect(deltas).toBeGreaterThan(3);
    expect(events.map(({ type }) => type)).toStrictEqual([
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      ...Array<string>(deltas).fill("response.output_text.delta"),
      "response.output_text.done",
      "response.content_part.done",
      "response.output_item.done",
      "response.incomplete",
    ]);
    expect(numbers(events)).toStrictEqual(events.map((_, at) => at));
    expect(textOf(events)).toBe(whole.output_text);
    const [created, last] = [events[0], events.at(-1)];
    expect(created).toMatchObject({ response: { status: "in_progress", output: [], usage: null } });
    const kept = await served.openai.responses.retrieve(idOf(created));
    const { output_text: _, ...wire } = kept; // the client's own sum of the parts
    expect(last).toMatchObject({ response: wire });
    const items = new Set(events.flatMap((event) => ("item_id" in event ? [event.item_id] : [])));
    expect([...items]).toStrictEqual([kept.output[0]?.id]);
  });

  test("a reply that ends by itself is completed", async () => {
    const events = await collect(await stream({ input: "Hello!", max_output_tokens: 1000 }));
    expect(events.at(-1)).toMatchObject({
      type: "response.completed",
      response: { status: "completed", incomplete_details: null },
    });
  });

  test("the helper responses.stream() puts it together, new or replayed from any place", async () => {
    const runner = served.openai.responses.stream({ input: "Hello!", ...greedy });
    const heard: string[] = [];
    runner.on("response.output_text.delta", ({ delta }) => heard.push(delta));
    const final = await runner.finalResponse();
    expect(final.status).toBe("completed");
    expect(heard.join("")).toBe(final.output_text);
    const replayed = served.openai.responses.stream({ response_id: final.id, starting_after: 5 });
    const events = await collect(replayed);
    expect(numbers(events)[0]).toBe(6);
    expect((await replayed.finalResponse()).output_text).toBe(final.output_text);
  });

  test("logprobs: in the events, in the part, in what is retrieved", async () => {
    const events = await collect(await stream({ include: ["message.output_text.logprobs"], top_logprobs: 2 }));
    const streamed = events.flatMap((event) => (event.type === "response.output_text.delta" ? event.logprobs : []));
    expect(streamed).toHaveLength(24);
    const { output } = await served.openai.responses.retrieve(idOf(events[0]));
    expect(output[0]).toMatchObject({ content: [{ logprobs: streamed }] });
    expect(streamed[0]?.top_logprobs).toHaveLength(2);
  });

  test("store: false keeps nothing", async () => {
    const passing = await create({ ...seeded, store: false });
    expect(passing.output_text).toBe((await create(seeded)).output_text);
    expect(textOf(await collect(await stream({ ...seeded, store: false })))).toBe(passing.output_text);
    await expect(served.openai.responses.retrieve(passing.id)).rejects.toMatchObject({ status: 404 });
  });
});

describe("rejoining", () => {
  const rest = async (id: string, after?: number) =>
    collect(
      await served.openai.responses.retrieve(id, {
        stream: true,
        ...(after === undefined ? {} : { starting_after: after }),
      }),
    );

  test.each([
    ["with log-probabilities", { ...seeded, include: ["message.output_text.logprobs"] } satisfies Options],
    ["of odd characters in pieces", { temperature: 2, seed: 5 }],
    ["cut by a stop string", { ...greedy, stop: [" owl"] }],
  ])("a finished response %s, behind every one of its events: each later one once, as it was", async (_, options) => {
    const events = await collect(await stream({ ...options, max_output_tokens: 30 }));
    const id = idOf(events[0]);
    expect(await rest(id)).toStrictEqual(events);
    for (const after of numbers(events)) expect(await rest(id, after)).toStrictEqual(events.slice(after + 1));
    expect(await rest(id, events.length + 10)).toStrictEqual([]);
  });

  test("a running response, from several places at once: together they are one stream", async () => {
    const options = { ...seeded, ...(await served.endless()), max_output_tokens: 600 };
    const live = await stream(options);
    const seen: Event[] = [];
    const readers: { after: number; events: Promise<Event[]> }[] = [];
    for await (const event of live) {
      seen.push(event);
      const { sequence_number: after } = event;
      if (after % 20 === 0 && readers.length < 10) readers.push({ after, events: rest(idOf(seen[0]), after) });
    }
    expect(readers).toHaveLength(10);
    expect(numbers(seen)).toStrictEqual(seen.map((_, at) => at));
    for (const { after, events } of readers) expect(await events).toStrictEqual(seen.slice(after + 1));
    expect(await rest(idOf(seen[0]))).toStrictEqual(seen);
  });

  test("starting_after without stream is refused by name", async () => {
    const { id } = await create();
    const asked = served.fetch("GET", `/v1/responses/${id}?starting_after=3`);
    expect(await (await asked).json()).toMatchObject({ error: { param: "starting_after", code: "invalid_value" } });
  });
});

describe("a tree", () => {
  test("previous_response_id goes on, and branches from any response; input_items tell the way", async () => {
    const a = await create();
    const b = await create({ input: "And then?", previous_response_id: a.id });
    const c = await create({ input: "Why?", previous_response_id: b.id });
    const branch = await create({ input: "Why?", previous_response_id: a.id });
    const again = await create({ input: "Why?", previous_response_id: b.id });
    expect(b.previous_response_id).toBe(a.id);
    expect(again).toMatchObject({ output_text: c.output_text, usage: c.usage });
    expect(branch.usage?.input_tokens).toBeLessThan(c.usage?.input_tokens ?? 0);
    const items = await collect(served.openai.responses.inputItems.list(c.id, { order: "asc", limit: 2 }));
    expect(items.map((item) => ("role" in item ? item.role : ""))).toStrictEqual([
      "user",
      "assistant",
      "user",
      "assistant",
      "user",
    ]);
    expect(items[4]).toMatchObject({ content: [{ type: "input_text", text: "Why?" }] });
    expect(items[3]).toMatchObject({ id: b.output[0]?.id, content: [{ type: "output_text", text: b.output_text }] });
    const newest = await served.openai.responses.inputItems.list(c.id, { limit: 1 });
    expect(newest.data[0]).toMatchObject({ id: items[4]?.id });
  });

  test("a deleted response is gone; what continues it stays, and goes on", async () => {
    const a = await create();
    const b = await create({ input: "And then?", previous_response_id: a.id });
    await served.openai.responses.delete(a.id);
    await expect(served.openai.responses.retrieve(a.id)).rejects.toMatchObject({ status: 404 });
    await expect(create({ input: "Why?", previous_response_id: a.id })).rejects.toMatchObject({
      status: 404,
      param: "previous_response_id",
    });
    expect((await served.openai.responses.retrieve(b.id)).output_text).toBe(b.output_text);
    const c = await create({ input: "Why?", previous_response_id: b.id });
    expect(c.status).not.toBe("failed");
    await expect(served.openai.responses.delete(a.id)).rejects.toMatchObject({ status: 404 });
  });
});

describe("background and cancel", () => {
  test("a background response is answered at once and polled to its end", async () => {
    const begun = await create({ ...seeded, background: true, max_output_tokens: 200 });
    expect(begun).toMatchObject({ status: expect.stringMatching(/queued|in_progress/), background: true, output: [] });
    const done = await until(
      () => served.openai.responses.retrieve(begun.id),
      ({ status }) => status !== "in_progress" && status !== "queued",
    );
    expect(done.output_text).toBe((await create({ ...seeded, max_output_tokens: 200 })).output_text);
  });

  test("a background response can be streamed from its beginning, left and rejoined", async () => {
    const options = { ...seeded, ...(await served.endless()), background: true, max_output_tokens: 400 };
    const first: Event[] = [];
    for await (const event of await stream(options)) if (first.push(event) === 12) break; // leaving closes the connection
    const rest = await served.openai.responses.retrieve(idOf(first[0]), { stream: true, starting_after: 11 });
    const all = [...first, ...(await collect(rest))];
    expect(numbers(all)).toStrictEqual(all.map((_, at) => at));
    expect(all.at(-1)).toMatchObject({ response: { status: "incomplete", usage: { output_tokens: 400 } } });
  });

  test("cancel ends a response; what was said stays, the stream says so, and a follow-up goes on behind it", async () => {
    const options = { ...(await served.endless()), background: true, max_output_tokens: 16_384 };
    const begun = await create(options);
    const watched = collect(await served.openai.responses.retrieve(begun.id, { stream: true }));
    const cancelled = await served.openai.responses.cancel(begun.id);
    expect(cancelled).toMatchObject({ id: begun.id, status: "cancelled" });
    expect(await served.openai.responses.cancel(begun.id)).toStrictEqual(cancelled);
    expect((await watched).at(-1)).toMatchObject({ response: { status: "cancelled" } });
    const replayed = served.openai.responses.stream({ response_id: begun.id });
    expect((await replayed.finalResponse()).status).toBe("cancelled");
    const next = await create({ input: "Go on.", previous_response_id: begun.id });
    expect(next.output_text).not.toBe("");
    const { output_text: _, ...finished } = await create();
    expect(await served.openai.responses.cancel(finished.id)).toStrictEqual(finished);
  });
});
