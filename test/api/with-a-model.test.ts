/** The routes on the real core, databases, ids and keys, with the small model of the repository: the parts fit together. */

import { fileURLToPath } from "node:url";
import OpenAI from "openai";
import { beforeAll, describe, expect, test } from "vitest";
import { openModel, openTextSide } from "../../cli/model-argument.ts";
import type { LoadedModel, ModelSource } from "../../shared/conversation/model-source.ts";
import { sourceOf } from "../conversation/fixture.ts";
import { coreServices } from "./core-services.ts";

const folder = fileURLToPath(new URL("../../models/fledgling-4m", import.meta.url));
const model = "fledgling";
let models: ModelSource;

beforeAll(async () => {
  const engine = await openModel(folder, { backend: "wasm", window: "deepmind" });
  const loaded: LoadedModel = { id: model, digest: "d".repeat(64), model: engine, ...(await openTextSide(folder)) };
  models = sourceOf(loaded);
});

async function setUp(requestTokens = Number.POSITIVE_INFINITY) {
  const { app, objects, reported, key } = await coreServices(models, model, { requestTokens });
  const openai = new OpenAI({
    apiKey: key,
    baseURL: "http://aerie.test/v1",
    maxRetries: 0,
    fetch: async (url, init) => app.request(String(url), init as RequestInit),
  });
  const call = (method: string, path: string, init: RequestInit = {}) =>
    app.request(path, { method, ...init, headers: { authorization: `Bearer ${key}`, ...init.headers } });
  return { openai, call, objects, reported };
}

const user = (content: string) => ({ role: "user" as const, content });
const greedy = { model, temperature: 0, max_completion_tokens: 12 };

describe("with a model", () => {
  test("a chat that resends its history processes the new tokens alone", async () => {
    const { openai, objects, reported } = await setUp();
    const messages: OpenAI.ChatCompletionMessageParam[] = [user("Tell me a story about a cat.")];
    const first = await openai.chat.completions.create({ ...greedy, messages });
    messages.push(first.choices[0].message, user("And then?"));
    const second = await openai.chat.completions.create({ ...greedy, messages });
    const usage = second.usage!;
    expect(objects.size).toBe(1);
    expect(usage.prompt_tokens_details!.cached_tokens).toBeGreaterThanOrEqual(first.usage!.prompt_tokens);
    expect(usage.prompt_tokens).toBeGreaterThan(first.usage!.total_tokens);
    expect(reported).toStrictEqual([]);
  });

  // The index led to a response whose own history had lost a turn: the model answered to less than was sent.
  test("a chat that resends a deleted turn is answered on all that it sends", async () => {
    const { openai } = await setUp();
    const messages: OpenAI.ChatCompletionMessageParam[] = [user("My name is Ada. Remember the xylophone.")];
    const say = async (store: boolean) => {
      const reply = await openai.chat.completions.create({ ...greedy, messages, store });
      messages.push(reply.choices[0].message, user("And then?"));
      return reply;
    };
    const first = await say(true);
    await say(true);
    await openai.responses.delete(first.id.replace("chatcmpl-", "resp_"));
    const sent = { ...greedy, messages: [...messages] };
    const kept = await openai.chat.completions.create({ ...sent, store: true });
    const whole = await openai.chat.completions.create({ ...sent, store: false });
    expect(kept.usage!.prompt_tokens).toBe(whole.usage!.prompt_tokens);
    expect(kept.choices[0].message.content).toBe(whole.choices[0].message.content);
  });

  test("streams, choices, seeds: the same request says the same, kept or not", async () => {
    const { openai } = await setUp();
    const request = { ...greedy, temperature: 2, seed: 7, n: 2, logprobs: true, messages: [user("Tell me a story.")] };
    const whole = await openai.chat.completions.create(request);
    const streamed = await openai.chat.completions.stream(request).finalChatCompletion();
    const passing = await openai.chat.completions.create({ ...request, store: false });
    const texts = (reply: OpenAI.ChatCompletion) => reply.choices.map(({ message }) => message.content);
    expect(texts(streamed)).toStrictEqual(texts(whole));
    expect(texts(passing)).toStrictEqual(texts(whole));
    for (const { system_fingerprint: fingerprint } of [whole, streamed, passing])
      expect(fingerprint).toBe(`fp_${"d".repeat(12)}`);
    expect(whole.choices[0].message.content).not.toBe(whole.choices[1].message.content);
    expect(whole.choices[0].logprobs!.content!.length).toBeGreaterThan(0);
    expect(streamed.choices[0].logprobs!.content).toStrictEqual(whole.choices[0].logprobs!.content);
  });

  test("a response's events are joined again at every place", async () => {
    const { openai } = await setUp();
    const stream = await openai.responses.create({
      model,
      input: "Once upon a time",
      stream: true,
      max_output_tokens: 12,
    });
    const all: OpenAI.Responses.ResponseStreamEvent[] = [];
    for await (const event of stream) all.push(event);
    expect(all.map(({ sequence_number: n }) => n)).toStrictEqual([...all.keys()]);
    const { id } = (all[0] as OpenAI.Responses.ResponseCreatedEvent).response;
    for (const after of all.keys()) {
      const rest = [];
      for await (const event of await openai.responses.retrieve(id, { stream: true, starting_after: after }))
        rest.push(event);
      expect(rest).toStrictEqual(all.slice(after + 1));
    }
  });

  test("a conversation: turns, items, fork, state out and in, export, erasure", async () => {
    const { openai, call, reported } = await setUp();
    const { id } = await openai.conversations.create({ items: [user("My name is Ada.")] });
    const say = (input: string, conversation: string) =>
      openai.responses.create({ model, input, conversation, temperature: 0, max_output_tokens: 8 });
    const first = await say("Hello!", id);
    expect(first.conversation).toStrictEqual({ id });
    const fork = (await (await call("POST", `/v1/conversations/${id}/fork`)).json()) as { id: string };
    const [one, two] = [await say("What now?", id), await say("What now?", fork.id)];
    expect(two.output_text).toBe(one.output_text);
    expect(one.usage!.input_tokens_details.cached_tokens).toBeGreaterThan(0);
    const items = [];
    for await (const item of openai.conversations.items.list(id, { order: "asc", limit: 2 })) items.push(item);
    expect(items).toHaveLength(5);

    const file = await (await call("GET", `/v1/conversations/${id}/state`)).arrayBuffer();
    const { id: other } = await openai.conversations.create();
    const imported = await call("PUT", `/v1/conversations/${other}/state`, {
      headers: { "content-type": "application/octet-stream" },
      body: file,
    });
    expect(imported.status).toBe(200);
    const [here, there] = [await say("Go on.", id), await say("Go on.", other)];
    expect(there.output_text).toBe(here.output_text);

    const exported = (await (await call("GET", "/v1/data")).text())
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(exported.filter(({ object }) => object === "conversation")).toHaveLength(3);
    expect(await (await call("DELETE", "/v1/data")).json()).toMatchObject({ deleted: true });
    expect(await (await call("GET", "/v1/data")).text()).toBe("");
    await expect(openai.conversations.retrieve(id)).rejects.toMatchObject({ status: 404 });
    expect(reported).toStrictEqual([]);
  });

  // Only responses were exported: what somebody wrote down without asking for a reply was lost.
  test("an export has the messages that nobody replied to, and those whose reply was deleted", async () => {
    const { openai, call } = await setUp();
    const { id } = await openai.conversations.create({ items: [user("first words")] });
    await openai.responses.create({ model, input: "second words", conversation: id, max_output_tokens: 4 });
    const [reply] = (await openai.conversations.items.list(id, { order: "desc", limit: 1 })).data;
    await openai.conversations.items.delete(reply.id!, { conversation_id: id });
    await openai.conversations.items.create(id, { items: [user("third words")] });
    const exported = (await (await call("GET", "/v1/data")).text())
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const items = exported.filter(({ object }) => object === "conversation.items");
    expect(items.map(({ conversation }) => conversation)).toStrictEqual([{ id }, { id }, { id }]);
    const said = [];
    for await (const item of openai.conversations.items.list(id, { order: "asc" })) said.push(item);
    expect(said).toHaveLength(3);
    expect(items.flatMap(({ data }) => data)).toStrictEqual(said);
  });

  test("what the model refuses is a 400 that names the parameter", async () => {
    const { openai } = await setUp();
    const { id } = await openai.conversations.create();
    const opening = {
      model,
      input: [{ role: "developer" as const, content: "Be kind." }, user("Hi.")],
      conversation: id,
    };
    expect(await openai.responses.create({ ...opening, max_output_tokens: 2 })).toMatchObject({ status: "incomplete" });
    await expect(openai.responses.create(opening)).rejects.toMatchObject({ status: 400, param: "input[0].role" });
    const tokens = openai.completions.create({ model, prompt: [99_999_999] });
    await expect(tokens).rejects.toMatchObject({ status: 400, param: "prompt" });
    const unasked = openai.chat.completions.create({ ...greedy, messages: [{ role: "system", content: "x" }] });
    await expect(unasked).rejects.toMatchObject({ status: 400, param: "messages" });
  });

  test("the same Idempotency-Key: one turn, one reply", async () => {
    const { call, objects } = await setUp();
    const send = async () => {
      const headers = { "content-type": "application/json", "idempotency-key": "k" };
      const body = JSON.stringify({ input: "Hello!", max_output_tokens: 6 });
      return (await call("POST", "/v1/responses", { headers, body })).json();
    };
    const [one, two] = await Promise.all([send(), send()]);
    expect(two).toStrictEqual(one);
    expect(objects.size).toBe(1);
  });

  // The platform ends what computes for too long: of eight replies three came, in a stream that had begun with a 200.
  test.each([
    ["/v1/chat/completions", { messages: [user("Hi!")], max_tokens: 30, n: 3, store: false }],
    ["/v1/responses", { input: "Hi! ".repeat(160), max_output_tokens: 30, store: false }],
    ["/v1/completions", { prompt: ["Once", "Twice", "And"], max_tokens: 30 }],
  ])("what may take too long for a single request to %s is refused before it begins", async (path, body) => {
    const { call, reported } = await setUp(90);
    const post = (more: object) =>
      call("POST", path, {
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ ...body, ...more }),
      });
    for (const stream of [false, true]) {
      const refused = await post({ stream });
      const { error } = (await refused.json()) as { error: { code: string; message: string } };
      expect([refused.status, error.code]).toStrictEqual([400, "too_much_compute"]);
      expect(error.message).toMatch(
        /^\d replies of up to 30 tokens to prompts of \d+ tokens, .* are \d+ tokens: .* may compute 90\. Ask for fewer replies \(n\)/,
      );
    }
    const short = path === "/v1/responses" ? { max_output_tokens: 10, input: "Hi!" } : { max_tokens: 10 };
    const allowed = await post(short);
    expect(allowed.status).toBe(200);
    // What is kept is cut into segments.
    if (path !== "/v1/completions") expect((await post({ store: true })).status).toBe(200);
    expect(reported).toStrictEqual([]);
  });

  // It was an error in the middle of a stream, behind the replies to the prompts before.
  test("a prompt that is wrong is refused before the first one is answered", async () => {
    const { openai } = await setUp();
    const attempt = openai.completions.create({ model, prompt: [[5], [999_999]], stream: true, max_tokens: 2 });
    await expect(attempt).rejects.toMatchObject({
      status: 400,
      param: "prompt",
    });
  });
});
