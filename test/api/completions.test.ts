/** /v1/completions through the official client. */

import { describe, expect, test } from "vitest";
import { setUp } from "./client.ts";
import { MODEL } from "./fake-services.ts";

const model = MODEL;

describe("completions", () => {
  test("a text goes on; nothing is kept", async () => {
    const { openai, services } = setUp();
    const reply = await openai.completions.create({ model, prompt: "Once upon", logprobs: 1 });
    expect(reply).toMatchObject({ object: "text_completion", choices: [{ text: "echo: Once upon", index: 0 }] });
    expect(reply.choices[0].logprobs!.text_offset).toStrictEqual([0, 6, 11]);
    expect(services.statelessRequests).toMatchObject([
      { prompts: [{ kind: "text", text: "Once upon" }], maxTokens: 16 },
    ]);
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
    expect(services.statelessRequests.map(({ prompts }) => prompts)).toStrictEqual([
      [{ kind: "tokens", tokens: [1, 2, 3] }],
      [
        { kind: "tokens", tokens: [1] },
        { kind: "tokens", tokens: [2] },
      ],
    ]);
  });

  test("more than eight replies in all are refused", async () => {
    const { openai } = setUp();
    const request = { model, prompt: ["a", "b", "c"], n: 3 };
    await expect(openai.completions.create(request)).rejects.toMatchObject({ status: 400, param: "n" });
  });
});
