/** What a hostile or mistaken body gets: an error in the one shape that names what is wrong, and nothing of the inside. */

import OpenAI from "openai";
import { describe, expect, test } from "vitest";
import { DISCARD_BYTES } from "../../shared/api/json-body.ts";
import { MAX_JSON_BYTES, MAX_PROMPT_TOKEN_IDS } from "../../shared/protocol/limits.ts";
import { expectError, setUp } from "./client.ts";
import { MODEL } from "./fake-services.ts";

const model = MODEL;

describe("hostile bodies", () => {
  const deep = (depth: number) => `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`;
  const message = '"messages":[{"role":"user","content":"hi"}]';
  const post = (text: string | Uint8Array<ArrayBuffer>, contentType = "application/json") =>
    setUp().app.request("/v1/chat/completions", {
      method: "POST",
      headers: { authorization: "Bearer sk-alice", "content-type": contentType },
      body: text,
    });

  test.each([
    ["empty", "", 400],
    ["not JSON", "{", 400],
    ["a number", "1", 400],
    ["null", "null", 400],
    ["a list", "[]", 400],
    ["deep objects", deep(100_000), 400],
    ["deep lists", `${"[".repeat(400_000)}`, 400],
    ["deep inside a legal field", `{${message},"metadata":${deep(40)}}`, 400],
    ["brackets in strings are no nesting", `{"messages":[{"role":"user","content":"${'[{\\"'.repeat(99)}"}]}`, 200],
    ["a list of half a million", `{"messages":[${"0,".repeat(500_000)}0]}`, 400],
    ["a list of half a million further in", `{${message},"stop":[[${"{},".repeat(300_000)}0]]}`, 400],
    [
      "an object of a hundred thousand",
      `{${message},"x":{${Array.from({ length: 1e5 }, (_, at) => `"${at}":0`)}}}`,
      400,
    ],
    ["a prototype key under an escape", `{${message},"\\u005f_proto__":{"n":2}}`, 400],
    ["a prototype key", `{${message},"__proto__":{"n":2}}`, 400],
    ["a prototype key further in", `{${message},"metadata":{"__proto__":"x"}}`, 400],
    ["constructor as a key", `{${message},"constructor":{}}`, 400],
    ["an absurd number", `{${message},"n":1e308}`, 400],
    ["a number beyond doubles", `{${message},"temperature":1e999}`, 400],
    ["a negative bound", `{${message},"max_tokens":-1}`, 400],
    ["a fraction", `{${message},"n":1.5}`, 400],
    ["an unsafe seed", `{${message},"seed":9007199254740993}`, 400],
    ["a megabyte and a byte", `{${message},"user":"${"x".repeat(1024 * 1024)}"}`, 413],
    ["ten megabytes", "x".repeat(10 * 1024 * 1024), 413],
    ["invalid UTF-8", new Uint8Array([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]), 400],
    ["a lone surrogate's bytes", new Uint8Array([0x22, 0xed, 0xa0, 0x80, 0x22]), 400],
  ])("%s", async (_, text, status) => {
    const response = await post(text as string);
    expect(response.status).toBe(status);
    if (status !== 200) expectError(await response.text());
  });

  // More complaints than a function takes arguments: a 500.
  test("as many wrong token ids as there may be", async () => {
    const { call } = setUp();
    for (const wrong of [[1], -1, {}]) {
      const tokens = Array(MAX_PROMPT_TOKEN_IDS).fill(wrong);
      const { status, text } = await call("POST", "/v1/detokenize", { tokens });
      expect([status, JSON.parse(text).error.param]).toStrictEqual([400, "tokens[0]"]);
    }
  });

  test.each([
    "text/plain",
    "multipart/form-data; boundary=x",
    "application/x-www-form-urlencoded",
    "application/jsonp",
  ])("%s is a 415", async (contentType) => {
    const response = await post(`{${message}}`, contentType);
    expect(response.status).toBe(415);
    expectError(await response.text());
  });

  test("a body that grows without end is cut off, whatever it said of its length", async () => {
    const { app } = setUp();
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 65_536;
        controller.enqueue(new Uint8Array(65_536).fill(0x20));
      },
    });
    const headers = { authorization: "Bearer sk-alice", "content-type": "application/json", "content-length": "10" };
    const response = await app.request("/v1/responses", {
      method: "POST",
      headers,
      body,
      duplex: "half",
    } as RequestInit);
    expect(response.status).toBe(413);
    expect(sent).toBeLessThan(MAX_JSON_BYTES + DISCARD_BYTES + 4 * 65_536);
  });

  test.each([
    ["messages", { messages: [] }],
    ["messages", { messages: "hi" }],
    ["messages", {}],
    ["messages[0].role", { messages: [{ role: "tool", content: "x" }] }],
    ["messages[0].content", { messages: [{ role: "user" }] }],
    ["messages[0].content", { messages: [{ role: "user", content: 1 }] }],
    ["messages[0].content", { messages: [{ role: "user", content: null }] }],
    [
      "messages[0].content[1].type",
      {
        messages: [
          {
            role: "user",
            content: [
              { type: "text", text: "a" },
              { type: "image_url", image_url: { url: "x" } },
            ],
          },
        ],
      },
    ],
    ["messages[0].tool_calls", { messages: [{ role: "assistant", content: null, tool_calls: [{ id: "x" }] }] }],
    ["messages[0].name", { messages: [{ role: "user", content: "x", name: "ada" }] }],
    ["messages[0].nonsense", { messages: [{ role: "user", content: "x", nonsense: 1 }] }],
    ["stop", { stop: ["a", "b", "c", "d", "e"] }],
    ["stop[1]", { stop: ["a", ""] }],
    ["stop", { stop: "x".repeat(257) }],
    ["n", { n: 9 }],
    ["n", { n: "2" }],
    ["temperature", { temperature: 2.1 }],
    ["top_p", { top_p: -0.1 }],
    ["max_tokens", { max_tokens: 0 }],
    ["max_tokens", { max_tokens: 5, max_completion_tokens: 6 }],
    ["max_completion_tokens", { max_completion_tokens: 16_385 }],
    ["top_logprobs", { top_logprobs: 3 }],
    ["top_logprobs", { logprobs: true, top_logprobs: 21 }],
    ["logit_bias.x", { logit_bias: { x: 1 } }],
    ["logit_bias.7", { logit_bias: { 7: 101 } }],
    ["metadata", { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, "v"])) }],
    ["metadata.a", { metadata: { a: "v".repeat(513) } }],
    ["metadata.a", { metadata: { a: 1 } }],
    ["stream_options", { stream_options: { include_usage: true } }],
    ["model", { model: "gpt-9" }],
  ])("%s is named: %j", async (param, change) => {
    const { call } = setUp();
    const body = { messages: [{ role: "user", content: "hi" }], ...change };
    if (Object.keys(change).length === 0) Reflect.deleteProperty(body, "messages");
    const { status, text } = await call("POST", "/v1/chat/completions", body);
    expect([400, 404]).toContain(status);
    expectError(text);
    expect(JSON.parse(text).error.param).toBe(param);
  });

  test("a failure inside says nothing of the inside, and is reported", async () => {
    const { openai, call, services } = setUp();
    const { status, text } = await call("POST", "/v1/responses", { input: "explode" });
    expect(status).toBe(500);
    expect(text).not.toContain("passwd");
    expectError(text);
    expect(services.reported).toMatchObject([{ message: expect.stringContaining("passwd") }]);
    const failing = openai.responses.create({ model, input: "explode" });
    await expect(failing).rejects.toBeInstanceOf(OpenAI.InternalServerError);
  });

  test("the client's error classes", async () => {
    const { openai, clientOf } = setUp();
    await expect(clientOf("sk-no").models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
    await expect(openai.responses.retrieve("resp_x")).rejects.toBeInstanceOf(OpenAI.NotFoundError);
    const bad = openai.completions.create({ model, prompt: "x", suffix: "y" });
    await expect(bad).rejects.toBeInstanceOf(OpenAI.BadRequestError);
    await expect(bad).rejects.toMatchObject({
      param: "suffix",
      code: "unsupported_parameter",
      requestID: expect.stringMatching(/^req_/),
    });
  });
});
