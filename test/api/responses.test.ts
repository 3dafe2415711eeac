/** /v1/responses through the official client. */

import type OpenAI from "openai";
import { describe, expect, test } from "vitest";
import { setUp } from "./client.ts";
import { MODEL } from "./fake-services.ts";

const model = MODEL;

async function eventsOf(stream: AsyncIterable<OpenAI.Responses.ResponseStreamEvent>) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

describe("create", () => {
  test("a response, its usage, its ids", async () => {
    const { openai, services } = setUp();
    const response = await openai.responses.create({ model, input: "hello there", instructions: "Be brief." });
    expect(response.output_text).toBe("echo: hello there");
    expect(response).toMatchObject({
      status: "completed",
      instructions: "Be brief.",
      usage: { input_tokens: 2, input_tokens_details: { cached_tokens: 0 }, output_tokens: 3, total_tokens: 5 },
    });
    expect(response.id).toMatch(/^resp_/);
    expect(response.output[0].id).toMatch(/^msg_/);
    expect([...services.objects.values()][0].turns[0]).toMatchObject({ whenUnread: "go on", stored: false });
    expect(await openai.responses.retrieve(response.id)).toMatchObject({ id: response.id, status: "completed" });
  });

  test("a chain costs the new tokens, a second continuation branches", async () => {
    const { openai, services } = setUp();
    const first = await openai.responses.create({ model, input: "one two" });
    const follow = (input: string) => openai.responses.create({ model, input, previous_response_id: first.id });
    const [second, branch] = [await follow("three"), await follow("four")];
    expect(second.previous_response_id).toBe(first.id);
    expect(second.usage).toMatchObject({ input_tokens: 6, input_tokens_details: { cached_tokens: 5 } });
    expect(branch.output_text).toBe("echo: four");
    expect(services.objects.size).toBe(1);
    expect(services.conversation("alice", "object1").turns[1]).not.toHaveProperty("instructions");
  });

  test("items as input, with and without type; a reply sent back as it came", async () => {
    const { openai, services } = setUp();
    const first = await openai.responses.create({ model, input: "hi", include: ["message.output_text.logprobs"] });
    const reply = first.output[0] as OpenAI.Responses.ResponseOutputMessage;
    expect(reply.content[0]).toMatchObject({ logprobs: [{ token: "echo: " }, { token: "hi" }] });
    await openai.responses.create({
      model,
      input: [
        { role: "developer", content: "Be brief." },
        { type: "message", role: "user", content: [{ type: "input_text", text: "hi" }] },
        reply,
        { role: "user", content: "again" },
      ],
    });
    expect(services.conversation("alice", "object2").turns[0].input).toStrictEqual([
      { role: "system", content: "Be brief." },
      { role: "user", content: "hi" },
      { role: "assistant", content: "echo: hi" },
      { role: "user", content: "again" },
    ]);
  });

  test("length is incomplete, and says so", async () => {
    const { openai } = setUp();
    const response = await openai.responses.create({ model, input: "a b c", max_output_tokens: 2 });
    expect(response).toMatchObject({ status: "incomplete", incomplete_details: { reason: "max_output_tokens" } });
  });

  test("store: false leaves nothing behind", async () => {
    const { openai, services } = setUp();
    const response = await openai.responses.create({ model, input: "hi", store: false });
    expect(response).toMatchObject({ output_text: "echo: hi", store: false });
    const events = await eventsOf(await openai.responses.create({ model, input: "hi", store: false, stream: true }));
    expect(events.map(({ sequence_number: n }) => n)).toStrictEqual([...events.keys()]);
    expect(services.objects.size).toBe(0);
    await expect(openai.responses.retrieve(response.id)).rejects.toMatchObject({ status: 404 });
  });

  test("in the background: answered at once, read later", async () => {
    const { openai } = setUp();
    const response = await openai.responses.create({ model, input: "slow and steady", background: true });
    expect(response).toMatchObject({ status: "in_progress", background: true, output: [] });
    await expect.poll(async () => (await openai.responses.retrieve(response.id)).status).toBe("completed");
  });

  test.each([
    [{ previous_response_id: "resp_x", conversation: "conv_x" }, "previous_response_id"],
    [{ previous_response_id: "resp_x", store: false }, "store"],
    [{ background: true, store: false }, "background"],
    [{ stream_options: { include_obfuscation: false } }, "stream_options"],
    [{ input: undefined }, "input"],
  ])("%j contradicts itself", async (change, param) => {
    const { call } = setUp();
    const { status, text } = await call("POST", "/v1/responses", { input: "hi", ...change });
    expect([status, JSON.parse(text).error.param]).toStrictEqual([400, param]);
  });

  test("idempotent: one turn, and the same response for both", async () => {
    const { call, services } = setUp();
    const send = () => call("POST", "/v1/responses", { input: "hi" }, { "idempotency-key": "k" });
    const [first, second] = [await send(), await send()];
    expect(JSON.parse(second.text)).toStrictEqual(JSON.parse(first.text));
    expect(services.objects.size).toBe(1);
  });
});

describe("stream", () => {
  test("the client's helper understands it", async () => {
    const { openai } = setUp();
    const final = await openai.responses.stream({ model, input: "a b c" }).finalResponse();
    expect(final.output_text).toBe("echo: a b c");
  });

  test("joined again from every place, running or over: exactly the rest", async () => {
    const { openai } = setUp();
    const all = await eventsOf(await openai.responses.create({ model, input: "slow a b c", stream: true }));
    const { id } = (all[0] as OpenAI.Responses.ResponseCreatedEvent).response;
    expect(all.map(({ sequence_number: n }) => n)).toStrictEqual([...all.keys()]);
    for (const after of [undefined, ...all.keys(), 99]) {
      const query = { stream: true as const, ...(after === undefined ? {} : { starting_after: after }) };
      const rest = await eventsOf(await openai.responses.retrieve(id, query));
      expect(rest).toStrictEqual(all.slice((after ?? -1) + 1));
    }
  });

  test("a reader who leaves does not stop it, and finds all of it later", async () => {
    const { openai } = setUp();
    const stream = await openai.responses.create({ model, input: "slow a b c d e", stream: true });
    let id = "";
    let last = -1;
    for await (const event of stream) {
      if (event.type === "response.created") id = event.response.id;
      last = event.sequence_number;
      if (event.type === "response.output_text.delta") break;
    }
    const rest = await eventsOf(await openai.responses.retrieve(id, { stream: true, starting_after: last }));
    expect(rest[0].sequence_number).toBe(last + 1);
    expect(rest.at(-1)).toMatchObject({ type: "response.completed", response: { status: "completed" } });
  });

  test("a failure is response.failed; a refusal is a status", async () => {
    const { openai } = setUp();
    const events = await eventsOf(await openai.responses.create({ model, input: "fail", stream: true }));
    expect(events.at(-1)).toMatchObject({ type: "response.failed", response: { error: { code: "model_broken" } } });
    const refused = openai.responses.create({ model, input: "refuse", stream: true });
    await expect(refused).rejects.toMatchObject({ status: 429 });
  });

  test("starting_after without stream is refused", async () => {
    const { openai, call } = setUp();
    const { id } = await openai.responses.create({ model, input: "hi" });
    const { status, text } = await call("GET", `/v1/responses/${id}?starting_after=3`);
    expect([status, JSON.parse(text).error.param]).toStrictEqual([400, "starting_after"]);
  });
});

describe("afterwards", () => {
  test("cancel keeps what was said", async () => {
    const { openai } = setUp();
    const { id } = await openai.responses.create({ model, input: `slow ${"x ".repeat(90)}`, background: true });
    const cancelled = await openai.responses.cancel(id);
    expect(cancelled.status).toBe("cancelled");
    expect(await openai.responses.retrieve(id)).toMatchObject({ status: "cancelled" });
  });

  test("delete: then it is a 404", async () => {
    const { openai, call } = setUp();
    const { id } = await openai.responses.create({ model, input: "hi" });
    await openai.responses.delete(id);
    await expect(openai.responses.retrieve(id)).rejects.toMatchObject({ status: 404 });
    expect((await call("DELETE", `/v1/responses/${id}`)).status).toBe(404);
  });

  test("input items, page by page", async () => {
    const { openai } = setUp();
    const first = await openai.responses.create({ model, input: "one" });
    const second = await openai.responses.create({ model, input: "two", previous_response_id: first.id });
    const texts = [];
    for await (const item of openai.responses.inputItems.list(second.id, { limit: 1, order: "asc" })) {
      texts.push((item as OpenAI.Responses.ResponseInputMessageItem).content[0]);
    }
    expect(texts).toMatchObject([{ text: "one" }, { type: "output_text", text: "echo: one" }, { text: "two" }]);
  });
});
