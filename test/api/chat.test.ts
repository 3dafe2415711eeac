/** /v1/chat/completions through the official client. */

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
      system_fingerprint: "fp_0123456789ab",
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
    expect(services.statelessRequests[0].prompts).toMatchObject([{ kind: "chat", instructions: "Be brief." }]);
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

  test("what the conversation says of its input is said of the messages", async () => {
    const { openai } = setUp();
    const attempt = openai.chat.completions.create({ model, messages: [{ role: "system", content: "Be brief." }] });
    await expect(attempt).rejects.toMatchObject({
      status: 400,
      param: "messages",
      message: expect.stringContaining("messages: expected a user message"),
    });
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
