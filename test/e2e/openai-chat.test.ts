/** models, chat.completions, completions and tokens: the official client, unmodified, against the built Worker in workerd. */

import type OpenAI from "openai";
import { describe, expect, test } from "vitest";
import { collect, greedy, hello, seeded, serve } from "./served.ts";

const served = serve();
const messages = [{ role: "user", content: hello }] satisfies OpenAI.Chat.ChatCompletionMessageParam[];
const short = { messages, max_completion_tokens: 24 };
/** The client wants a name; the first model is the default one. */
const model = async () => (await served.openai.models.list()).data[0]?.id ?? "";
type Extra = { readonly seed: number };

describe("models", () => {
  test("are listed, and retrieved by name", async () => {
    const { data } = await served.openai.models.list();
    expect(data[0]).toMatchObject({ object: "model", owned_by: "aerie", id: expect.any(String) });
    expect(await served.openai.models.retrieve(await model())).toMatchObject({ ...data[0] });
    await expect(served.openai.models.retrieve("gpt-5")).rejects.toMatchObject({
      status: 404,
      code: "model_not_found",
    });
  });
});

describe("chat.completions", () => {
  const create = async (options: Partial<OpenAI.Chat.ChatCompletionCreateParamsNonStreaming> = {}) =>
    served.openai.chat.completions.create({ model: await model(), ...short, ...greedy, ...options });
  const chunksOf = async (options: Partial<OpenAI.Chat.ChatCompletionCreateParamsStreaming> = {}) =>
    collect(
      await served.openai.chat.completions.create({
        model: await model(),
        ...short,
        ...greedy,
        ...options,
        stream: true,
      }),
    );
  const textOf = (chunks: OpenAI.Chat.ChatCompletionChunk[], index = 0) =>
    chunks
      .flatMap(({ choices }) => choices.filter((one) => one.index === index).map(({ delta }) => delta.content ?? ""))
      .join("");

  test("a reply has a text, a reason and a usage that adds up", async () => {
    const reply = await create();
    expect(reply).toMatchObject({
      object: "chat.completion",
      model: await model(),
      id: expect.stringMatching(/^chatcmpl-/),
    });
    const [choice] = reply.choices;
    expect(choice).toMatchObject({ index: 0, finish_reason: "length", logprobs: null, message: { role: "assistant" } });
    expect(choice?.message.content).not.toBe("");
    const { prompt_tokens: prompt = 0, completion_tokens: completion, total_tokens: total } = reply.usage ?? {};
    expect(completion).toBe(24);
    expect(total).toBe(prompt + 24);
  });

  test("a stream is the same text: role first, one reason, no usage unless asked for", async () => {
    const whole = await create();
    const chunks = await chunksOf();
    expect(textOf(chunks)).toBe(whole.choices[0]?.message.content);
    expect(chunks[0]?.choices[0]?.delta).toMatchObject({ role: "assistant", content: "" });
    expect(chunks.flatMap(({ choices }) => choices[0]?.finish_reason ?? [])).toStrictEqual(["length"]);
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    for (const chunk of chunks) expect(chunk).not.toHaveProperty("usage");
  });

  test("stream_options.include_usage: null on every chunk, and a last one without choices", async () => {
    const chunks = await chunksOf({ stream_options: { include_usage: true } });
    const last = chunks.pop();
    expect(last).toMatchObject({ choices: [], usage: { completion_tokens: 24 } });
    for (const { usage, choices } of chunks)
      expect({ usage, count: choices.length }).toStrictEqual({ usage: null, count: 1 });
    expect(last?.usage).toMatchObject({ prompt_tokens: (await create()).usage?.prompt_tokens });
  });

  test("the helper chat.completions.stream() puts it together", async () => {
    const stream = served.openai.chat.completions.stream({
      model: await model(),
      ...short,
      ...greedy,
      n: 2,
      stream_options: { include_usage: true },
    });
    const heard: string[] = [];
    stream.on("content", (delta) => heard.push(delta));
    const final = await stream.finalChatCompletion();
    expect(final.choices.map(({ index, finish_reason }) => [index, finish_reason])).toStrictEqual([
      [0, "length"],
      [1, "length"],
    ]);
    expect(heard.length).toBeGreaterThan(1);
    expect(final.choices[0]?.message.content).toBe((await create()).choices[0]?.message.content);
    expect(await stream.totalUsage()).toMatchObject({ completion_tokens: 48 });
  });

  test("n=2: two replies, the first as if alone, the prompt counted once; streamed the same", async () => {
    const [one, two] = [await create(seeded), await create({ ...seeded, n: 2 })];
    expect(two.choices.map(({ index }) => index)).toStrictEqual([0, 1]);
    const texts = two.choices.map(({ message }) => message.content);
    expect(texts[0]).toBe(one.choices[0]?.message.content);
    expect(texts[1]).not.toBe(texts[0]);
    expect(two.usage).toMatchObject({ prompt_tokens: one.usage?.prompt_tokens, completion_tokens: 48 });
    const chunks = await chunksOf({ ...seeded, n: 2 });
    expect([textOf(chunks, 0), textOf(chunks, 1)]).toStrictEqual(texts);
    expect(chunks.flatMap(({ choices }) => choices.flatMap(({ finish_reason }) => finish_reason ?? []))).toHaveLength(
      2,
    );
  });

  test("stop: the text ends before it and never shows it, streamed or not", async () => {
    const text = (await create()).choices[0]?.message.content ?? "";
    const stop = text.slice(20, 26);
    const expected = text.slice(0, text.indexOf(stop));
    const cut = await create({ stop: [stop, "nowhere"] });
    expect(cut.choices[0]).toMatchObject({ finish_reason: "stop", message: { content: expected } });
    const chunks = await chunksOf({ stop });
    expect(textOf(chunks)).toBe(expected);
    expect(chunks.flatMap(({ choices }) => choices[0]?.finish_reason ?? [])).toStrictEqual(["stop"]);
  });

  test("logprobs and top_logprobs: one entry for each token, likeliest first, their bytes the text", async () => {
    const reply = await create({ logprobs: true, top_logprobs: 3 });
    const content = reply.choices[0]?.logprobs?.content ?? [];
    expect(content).toHaveLength(24);
    for (const { logprob, token, top_logprobs: top } of content) {
      expect(top).toHaveLength(3);
      expect(top[0]).toMatchObject({ token, logprob }); // greedy takes the likeliest
      expect(top.map((one) => one.logprob)).toStrictEqual(top.map((one) => one.logprob).sort((a, b) => b - a));
      expect(logprob).toBeLessThanOrEqual(0);
    }
    const bytes = Buffer.from(content.flatMap((one) => one.bytes ?? []));
    expect(bytes.toString().trimStart()).toBe(reply.choices[0]?.message.content?.trimStart());
    const streamed = (await chunksOf({ logprobs: true, top_logprobs: 3 })).flatMap(
      ({ choices }) => choices[0]?.logprobs?.content ?? [],
    );
    expect(streamed).toStrictEqual(content);
  });

  test("seed: the same twice, another for another; without one, the reported one gives it again", async () => {
    const said = async (seed: number | null) => {
      const reply = (await create({ temperature: 1, seed })) as OpenAI.Chat.ChatCompletion & Extra;
      return { text: reply.choices[0]?.message.content, seed: reply.seed };
    };
    const first = await said(7);
    expect(await said(7)).toStrictEqual(first);
    expect((await said(8)).text).not.toBe(first.text);
    const drawn = await said(null);
    expect(await said(drawn.seed)).toStrictEqual(drawn);
  });

  test("max_completion_tokens, its older name, and both at once", async () => {
    expect((await create({ max_completion_tokens: 3 })).usage?.completion_tokens).toBe(3);
    const older = await create({ max_completion_tokens: null, max_tokens: 5 });
    expect(older.usage?.completion_tokens).toBe(5);
    await expect(create({ max_tokens: 5 })).rejects.toMatchObject({ status: 400, param: "max_tokens" });
  });

  test("developer is system, and text parts are their text", async () => {
    const system = await create({ messages: [{ role: "system", content: "Be kind." }, ...messages] });
    const developer = await create({
      messages: [
        { role: "developer", content: [{ type: "text", text: "Be kind." }] },
        {
          role: "user",
          content: [
            { type: "text", text: hello.slice(0, 9) },
            { type: "text", text: hello.slice(9) },
          ],
        },
      ],
    });
    expect(developer.choices).toStrictEqual(system.choices);
    expect(developer.usage?.prompt_tokens).toBe(system.usage?.prompt_tokens);
    expect(system.usage?.prompt_tokens).toBeGreaterThan((await create()).usage?.prompt_tokens ?? 0);
  });

  test("store: false says the same and keeps nothing", async () => {
    const kept = await create(seeded);
    const passing = await create({ ...seeded, store: false });
    expect(passing.choices).toStrictEqual(kept.choices);
    expect(textOf(await chunksOf({ ...seeded, store: false }))).toBe(kept.choices[0]?.message.content);
    const id = `resp_${passing.id.slice("chatcmpl-".length)}`;
    await expect(served.openai.responses.retrieve(id)).rejects.toMatchObject({ status: 404 });
    const keptId = `resp_${kept.id.slice("chatcmpl-".length)}`;
    expect((await served.openai.responses.retrieve(keptId)).output_text).toBe(kept.choices[0]?.message.content);
  });
});

describe("completions", () => {
  const prompt = "Once upon a time";
  const create = async (options: Partial<OpenAI.CompletionCreateParamsNonStreaming> = {}) =>
    served.openai.completions.create({ model: await model(), prompt, max_tokens: 20, ...greedy, ...options });
  const streamed = async (options: Partial<OpenAI.CompletionCreateParamsStreaming> = {}) =>
    collect(
      await served.openai.completions.create({
        model: await model(),
        prompt,
        max_tokens: 20,
        ...greedy,
        ...options,
        stream: true,
      }),
    );
  const textOf = (chunks: OpenAI.Completion[], index: number) =>
    chunks.flatMap(({ choices }) => choices.filter((one) => one.index === index).map(({ text }) => text)).join("");

  test("plain, and streamed the same", async () => {
    const reply = await create();
    expect(reply).toMatchObject({ object: "text_completion", usage: { completion_tokens: 20 } });
    expect(reply.choices[0]).toMatchObject({ index: 0, finish_reason: "length", logprobs: null });
    const chunks = await streamed({ stream_options: { include_usage: true } });
    expect(textOf(chunks, 0)).toBe(reply.choices[0]?.text);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: reply.usage });
  });

  test("n: each reply its own, the first as if alone; several prompts in order", async () => {
    const [one, three] = [await create(seeded), await create({ ...seeded, n: 3 })];
    expect(three.choices.map(({ index }) => index)).toStrictEqual([0, 1, 2]);
    expect(three.choices[0]?.text).toBe(one.choices[0]?.text);
    expect(new Set(three.choices.map(({ text }) => text)).size).toBe(3);
    const chunks = await streamed({ ...seeded, n: 3 });
    expect([0, 1, 2].map((index) => textOf(chunks, index))).toStrictEqual(three.choices.map(({ text }) => text));
    const both = await create({ prompt: [prompt, "The owl"], n: 1 });
    expect(both.choices.map(({ text }) => text)).toStrictEqual([
      (await create()).choices[0]?.text,
      (await create({ prompt: "The owl" })).choices[0]?.text,
    ]);
  });

  test("a prompt as tokens is its text; tokens and texts turn into each other", async () => {
    type Tokens = { tokens: number[]; count: number };
    const { tokens, count } = await served.json<Tokens>("POST", "/v1/tokenize", { text: prompt });
    expect(tokens).toHaveLength(count);
    const { text } = await served.json<{ text: string }>("POST", "/v1/detokenize", { tokens });
    expect(text).toBe(prompt);
    const [fromText, fromTokens] = [await create(seeded), await create({ ...seeded, prompt: tokens })];
    expect(fromTokens.choices).toStrictEqual(fromText.choices);
    expect(fromTokens.usage).toStrictEqual(fromText.usage);
  });

  test("logprobs are parallel lists, and offsets lead to the tokens", async () => {
    const { text, logprobs } = (await create({ logprobs: 2 })).choices[0] ?? {};
    expect(logprobs?.tokens).toHaveLength(20);
    expect(logprobs?.token_logprobs).toHaveLength(20);
    expect(logprobs?.top_logprobs?.every((top) => Object.keys(top).length <= 2)).toBe(true);
    expect(logprobs?.text_offset?.[0]).toBe(0);
    const last = logprobs?.text_offset?.at(-1) ?? 0;
    expect(text?.slice(last)).toBe(logprobs?.tokens?.at(-1));
  });
});
