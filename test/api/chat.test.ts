/** /v1/chat/completions and /v1/completions through the official client. */

import type OpenAI from "openai";
import { describe, expect, test } from "vitest";
import { setUp } from "./client.ts";
import { MODEL } from "./fake-services.ts";

type Message = OpenAI.ChatCompletionMessageParam;
const user = (content: string): Message => ({ role: "user", content });
const model = MODEL;

describe("chat", () => {
  test("a reply with usage, fingerprint and the seed that was drawn", async () => {
    const { openai, services } = setUp();
    const reply = await openai.chat.completions.create({ model, messages: [user("hello there")] });
    expect(reply).toMatchObject({
      object: "chat.completion",
      model,
      choices: [{ index: 0, message: { role: "assistant", content: "echo: hello there" }, finish_reason: "stop" }],
      usage: { prompt_tokens: 2, completion_tokens: 3, total_tokens: 5, prompt_tokens_details: { cached_tokens: 0 } },
      system_fingerprint: "fp_test",
    });
    expect(reply.id).toMatch(/^chatcmpl-/);
    const { seed } = reply as unknown as { seed: number };
    expect(Number.isSafeInteger(seed)).toBe(true);
    const [{ turns }] = services.objects.values();
    expect(turns[0]).toMatchObject({ stored: false, whenUnread: "stop", choices: 1, maxTokens: 1024 });
    expect(turns[0].sampling.seed).toBe(String(seed));
  });

  test("the id continues as a response", async () => {
    const { openai } = setUp();
    const reply = await openai.chat.completions.create({ model, messages: [user("hello")] });
    const response = await openai.responses.retrieve(reply.id.replace("chatcmpl-", "resp_"));
    expect(response.output_text).toBe("echo: hello");
  });

  test("stream: role, texts, finish reason, usage if asked", async () => {
    const { openai } = setUp();
    const stream = await openai.chat.completions.create({
      model,
      messages: [user("a b")],
      stream: true,
      stream_options: { include_usage: true, include_obfuscation: false },
    });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    expect(chunks[0].choices[0].delta).toStrictEqual({ role: "assistant", content: "", refusal: null });
    expect(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("")).toBe("echo: a b");
    expect(chunks.at(-2)!.choices[0].finish_reason).toBe("stop");
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 3 } });
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  });

  test("the client's own stream helper understands it, several choices too", async () => {
    const { openai } = setUp();
    const final = await openai.chat.completions.stream({ model, messages: [user("a b")], n: 2 }).finalChatCompletion();
    expect(final.choices.map(({ message }) => message.content)).toStrictEqual(["echo: a b", "echo: a b"]);
  });

  test("a raw stream has prefill as a comment and ends with [DONE]", async () => {
    const { call } = setUp();
    const { text } = await call("POST", "/v1/chat/completions", { messages: [user("hi")], stream: true });
    expect(text).toContain(": prefill 1/2\n\n");
    expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
  });

  test("logprobs, stop, seed, max tokens, n, our own sampling options", async () => {
    const { openai, services } = setUp();
    const reply = await openai.chat.completions.create({
      model,
      messages: [user("one two three four")],
      logprobs: true,
      top_logprobs: 2,
      stop: "four",
      seed: -5,
      max_completion_tokens: 3,
      n: 2,
      logit_bias: { 7: -100 },
      top_k: 5,
      min_p: 0.1,
      typical_p: 0.9,
      repetition_penalty: 1.2,
    } as OpenAI.ChatCompletionCreateParamsNonStreaming);
    expect(reply.choices).toHaveLength(2);
    expect(reply.choices[1]).toMatchObject({
      index: 1,
      finish_reason: "length",
      message: { content: "echo: one two " },
    });
    expect(reply.choices[0].logprobs!.content![0]).toMatchObject({ token: "echo: ", top_logprobs: [{}, {}] });
    expect(reply).toHaveProperty("seed", -5);
    const [{ turns }] = services.objects.values();
    expect(turns[0]).toMatchObject({ stop: ["four"], choices: 2 });
    expect(turns[0].sampling).toMatchObject({ seed: "-5", logitBias: [[7, -100]], topK: 5, minP: 0.1, typicalP: 0.9 });
  });

  test("store: false leaves nothing behind", async () => {
    const { openai, services } = setUp();
    const messages = [
      { role: "developer", content: "Be brief." } as const,
      user("hi"),
      { role: "assistant", content: "ho" } as const,
      user("again"),
    ];
    const reply = await openai.chat.completions.create({ model, messages, store: false, n: 2 });
    expect(reply.choices.map(({ message }) => message.content)).toStrictEqual(["echo: again", "echo: again"]);
    expect(services.statelessRequests[0].prompt).toMatchObject({ kind: "chat", instructions: "Be brief." });
    expect([services.objects.size, services.registered.size, services.prefixRows.size]).toStrictEqual([0, 0, 0]);
    await expect(openai.responses.retrieve(reply.id.replace("chatcmpl-", "resp_"))).rejects.toMatchObject({
      status: 404,
    });
  });

  test("store: true is kept, listed, and goes on without its reader", async () => {
    const { openai, services } = setUp();
    await openai.chat.completions.create({ model, messages: [user("hi")], store: true, metadata: { a: "b" } });
    const [{ turns }] = services.objects.values();
    expect(turns[0]).toMatchObject({ stored: true, whenUnread: "go on", metadata: { a: "b" } });
  });

  test("a failed reply is an error, in a stream too, and not remembered", async () => {
    const { openai, services } = setUp();
    const request = { model, messages: [user("fail")] };
    await expect(openai.chat.completions.create(request)).rejects.toMatchObject({ status: 500, code: "model_broken" });
    const stream = await openai.chat.completions.create({ ...request, stream: true });
    await expect(
      (async () => {
        for await (const _ of stream);
      })(),
    ).rejects.toMatchObject({ code: "model_broken" });
    expect(services.prefixRows.size).toBe(0);
  });

  test("what the conversation refuses is a status, not a broken stream", async () => {
    const { openai } = setUp();
    const request = { model, messages: [user("refuse")], stream: true as const };
    await expect(openai.chat.completions.create(request)).rejects.toMatchObject({ status: 429, code: "server_busy" });
    await expect(openai.chat.completions.create({ ...request, store: false })).rejects.toMatchObject({ status: 429 });
  });

  test("a client that leaves stops a reply that nobody can read later", async () => {
    const { openai, services } = setUp();
    const long = user(`slow ${"word ".repeat(50)}`);
    for (const store of [undefined, false]) {
      const stream = await openai.chat.completions.create({
        model,
        messages: [long],
        stream: true,
        ...(store === undefined ? {} : { store }),
      });
      for await (const _ of stream) break;
    }
    const [{ nodes }] = services.objects.values();
    await expect.poll(() => [nodes[0].isCancelled, services.statelessAborts]).toStrictEqual([true, 1]);
  });

  test("so does one that aborts a reply in one piece", async () => {
    const { openai, services } = setUp();
    const abort = new AbortController();
    const request = { model, messages: [user(`slow ${"word ".repeat(50)}`)] };
    const reply = openai.chat.completions.create(request, { signal: abort.signal });
    setTimeout(() => abort.abort(), 40);
    await expect(reply).rejects.toThrow();
    const [{ nodes }] = services.objects.values();
    await expect.poll(() => nodes[0].isCancelled).toBe(true);
  });

  test("an object that restarts in the middle of a reply is not noticed", async () => {
    const { openai, services } = setUp();
    services.conversation("alice", "object1").breakAfter = 3;
    const stream = await openai.chat.completions.create({ model, messages: [user("a b c d")], stream: true });
    let text = "";
    for await (const chunk of stream) text += chunk.choices[0].delta.content ?? "";
    expect(text).toBe("echo: a b c d");
  });
});

describe("prefix reuse", () => {
  async function twoTurns(change: Partial<OpenAI.ChatCompletionCreateParamsNonStreaming> = {}) {
    const set = setUp();
    const messages: Message[] = [{ role: "system", content: "Be brief." }, user("first words")];
    const first = await set.openai.chat.completions.create({ model, messages, ...change });
    messages.push(first.choices[0].message, user("second"));
    return { ...set, messages, first };
  }

  test("the whole history again costs the new message alone", async () => {
    const { openai, services, messages } = await twoTurns();
    const reply = await openai.chat.completions.create({ model, messages });
    expect(services.objects.size).toBe(1);
    const [{ turns }] = services.objects.values();
    expect(turns[0]).toMatchObject({ parent: { kind: "root" }, instructions: "Be brief." });
    expect(turns[1]).toMatchObject({ parent: { kind: "node", node: 0 }, input: [{ role: "user", content: "second" }] });
    expect(turns[1]).not.toHaveProperty("instructions");
    expect(reply.usage).toMatchObject({ prompt_tokens: 6, prompt_tokens_details: { cached_tokens: 5 } });
  });

  test("a streamed reply is remembered before its last bytes; so is each choice", async () => {
    const { openai, services, messages } = await twoTurns();
    const stream = await openai.chat.completions.create({ model, messages, stream: true, n: 2 });
    for await (const chunk of stream) if (chunk.choices[0].finish_reason) break;
    expect(services.prefixRows.size).toBeGreaterThanOrEqual(2);
    const now = services.now() / 1000;
    for (const { expiresAt } of services.prefixRows.values()) expect(expiresAt).toBe(now + 86_400);
  });

  test("however the same text is written", async () => {
    const { openai, services, messages } = await twoTurns();
    const [, first, reply, second] = messages;
    const parts = [
      { type: "text" as const, text: "Be " },
      { type: "text" as const, text: "brief." },
    ];
    await openai.chat.completions.create({
      model,
      messages: [{ role: "developer", content: parts }, first, reply, second],
    });
    expect([...services.objects.values()][0].turns[1].parent).toStrictEqual({ kind: "node", node: 0 });
  });

  test.each([
    ["another system text", { messages: (m: Message[]) => [{ role: "system", content: "Be long." }, ...m.slice(1)] }],
    ["another reply", { messages: (m: Message[]) => [m[0], m[1], { role: "assistant", content: "no" }, m[3]] }],
    ["a system text in between", { messages: (m: Message[]) => [...m, { role: "system", content: "Now shout." }] }],
    ["nothing new to answer", { messages: (m: Message[]) => m.slice(0, 3) }],
    ["another model", { model: "other" }],
  ])("%s: a conversation of its own, with the whole history", async (_, change) => {
    const { openai, services, messages } = await twoTurns();
    const sent = (change.messages?.(messages) ?? messages) as Message[];
    await openai.chat.completions.create({ model: change.model ?? model, messages: sent });
    const second = [...services.objects.values()][1];
    expect(second.turns[0].parent).toStrictEqual({ kind: "root" });
    expect(second.turns[0].input).toHaveLength(sent.length - 1);
  });

  test("never across tenants", async () => {
    const { bob, services, messages } = await twoTurns();
    await bob.chat.completions.create({ model, messages });
    expect(services.conversation("bob", "object2").turns[0].parent).toStrictEqual({ kind: "root" });
  });

  test.each(["it is gone", "somebody is at it"])("%s: the whole history will do", async (what) => {
    const { openai, services, messages } = await twoTurns();
    const [conversation] = services.objects.values();
    if (what === "it is gone") await conversation.destroy();
    else conversation.isBusy = true;
    const reply = await openai.chat.completions.create({ model, messages });
    expect(reply.choices[0].message.content).toBe("echo: second");
    expect(services.objects.size).toBe(2);
  });

  test("a prefix index that fails costs nothing but time", async () => {
    const { openai, services, messages } = await twoTurns();
    services.prefixes = () => {
      throw new Error("unreachable");
    };
    const reply = await openai.chat.completions.create({ model, messages });
    expect(reply.choices[0].message.content).toBe("echo: second");
  });
});

describe("idempotency", () => {
  const request = { messages: [user("once")] };
  const key = { "idempotency-key": "k-1" };

  test("the same request twice is one turn, another one is a conflict", async () => {
    const { call, services } = setUp();
    const first = await call("POST", "/v1/chat/completions", request, key);
    const second = await call("POST", "/v1/chat/completions", request, key);
    expect(JSON.parse(second.text)).toStrictEqual(JSON.parse(first.text));
    expect(services.objects.size).toBe(1);
    expect([...services.objects.values()][0].nodes).toHaveLength(1);
    const other = await call("POST", "/v1/chat/completions", { messages: [user("twice")] }, key);
    expect([other.status, JSON.parse(other.text).error.code]).toStrictEqual([409, "idempotency_key_reused"]);
  });

  test("another tenant's keys are its own", async () => {
    const { call, services } = setUp();
    await call("POST", "/v1/chat/completions", request, key);
    const bobs = await call(
      "POST",
      "/v1/chat/completions",
      { messages: [user("twice")] },
      { ...key, authorization: "Bearer sk-bob" },
    );
    expect(bobs.status).toBe(200);
    expect(services.objects.size).toBe(2);
  });

  test("a place that is gone is used again, so that a third request finds it", async () => {
    const { call, services } = setUp();
    const first = JSON.parse((await call("POST", "/v1/chat/completions", request)).text);
    await services.conversation("alice", "object1").deleteResponse(0);
    const again = { messages: [...request.messages, first.choices[0].message, user("more")] };
    const replies = [
      await call("POST", "/v1/chat/completions", again, key),
      await call("POST", "/v1/chat/completions", again, key),
    ];
    expect(JSON.parse(replies[1].text).id).toBe(JSON.parse(replies[0].text).id);
    expect(services.objects.size).toBe(1);
  });

  test("a key that is too long is refused", async () => {
    const { call } = setUp();
    const { status } = await call("POST", "/v1/chat/completions", request, { "idempotency-key": "k".repeat(256) });
    expect(status).toBe(400);
  });
});

describe("completions", () => {
  test("a text goes on; nothing is kept", async () => {
    const { openai, services } = setUp();
    const reply = await openai.completions.create({ model, prompt: "Once upon", logprobs: 1 });
    expect(reply).toMatchObject({ object: "text_completion", choices: [{ text: "echo: Once upon", index: 0 }] });
    expect(reply.choices[0].logprobs!.text_offset).toStrictEqual([0, 6, 11]);
    expect(services.statelessRequests[0]).toMatchObject({ prompt: { kind: "text", text: "Once upon" }, maxTokens: 16 });
    expect(services.objects.size).toBe(0);
  });

  test("several prompts, several replies each, in order", async () => {
    const { openai } = setUp();
    const request = { model, prompt: ["a", "b"], n: 2 };
    const texts = ["echo: a", "echo: a", "echo: b", "echo: b"];
    const reply = await openai.completions.create(request);
    expect(reply.choices.map(({ text }) => text)).toStrictEqual(texts);
    expect(reply.choices.map(({ index }) => index)).toStrictEqual([0, 1, 2, 3]);
    const streamed = ["", "", "", ""];
    const stream = await openai.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
    let usage: unknown;
    for await (const chunk of stream) {
      for (const { index, text } of chunk.choices) streamed[index] += text;
      usage = chunk.usage;
    }
    expect(streamed).toStrictEqual(texts);
    expect(usage).toStrictEqual(reply.usage);
  });

  test("token ids as a prompt, and lists of them", async () => {
    const { openai, services } = setUp();
    await openai.completions.create({ model, prompt: [1, 2, 3] });
    await openai.completions.create({ model, prompt: [[1], [2]] });
    expect(services.statelessRequests.map(({ prompt }) => prompt)).toStrictEqual([
      { kind: "tokens", tokens: [1, 2, 3] },
      { kind: "tokens", tokens: [1] },
      { kind: "tokens", tokens: [2] },
    ]);
  });

  test("more than eight replies in all are refused", async () => {
    const { openai } = setUp();
    const request = { model, prompt: ["a", "b", "c"], n: 3 };
    await expect(openai.completions.create(request)).rejects.toMatchObject({ status: 400, param: "n" });
  });
});
