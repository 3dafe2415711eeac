/** Who gets in, how far, and what a hostile request gets: always an error in the one shape, never more. */

import OpenAI from "openai";
import { describe, expect, test } from "vitest";
import { publicPaths } from "../../shared/api/app.ts";
import { errorBody } from "../../shared/protocol/errors.ts";
import { setUp } from "./client.ts";
import { MODEL } from "./fake-services.ts";

const model = MODEL;
const routes = setUp().app.routes.filter(({ method, path }) => method !== "ALL" && path !== "/*");
const named = [...new Set(routes.map(({ method, path }) => `${method} ${path}`))];
const closed = named.filter((name) => !publicPaths.has(name.split(" ")[1]));

/** A legal body for each route that takes one, so that nothing but the guard under test can refuse. */
const bodies: Record<string, unknown> = {
  "POST /v1/chat/completions": { messages: [{ role: "user", content: "hi" }] },
  "POST /v1/completions": { prompt: "hi" },
  "POST /v1/responses": { input: "hi" },
  "POST /v1/conversations/:conversation_id": { metadata: {} },
  "POST /v1/conversations/:conversation_id/items": { items: [{ role: "user", content: "hi" }] },
  "PUT /v1/conversations/:conversation_id/state": "state of a branch",
  "POST /v1/tokenize": { text: "hi" },
  "POST /v1/detokenize": { tokens: [1] },
};

function expectError(text: string) {
  expect(errorBody.strict().parse(JSON.parse(text))).toBeDefined();
  expect(text).not.toMatch(/\bat .*\.ts|node_modules|Error:/);
}

describe("keys", () => {
  test("the router has the routes of the design, and more than a few need a key", () => {
    expect(closed.length).toBeGreaterThanOrEqual(26);
    expect(named).toContain("POST /v1/chat/completions");
  });

  test.each(closed)("%s: 401 without a key and with a wrong one", async (name) => {
    const { app, services } = setUp();
    const [method, path] = name.split(" ");
    for (const authorization of [undefined, "Bearer sk-nobody"]) {
      const response = await app.request(path, { method, headers: authorization ? { authorization } : {} });
      expect(response.status).toBe(401);
      expect(response.headers.get("x-request-id")).toMatch(/^req_/);
      expectError(await response.text());
    }
    expect(services.touched).toStrictEqual([]);
  });

  test.each(["GET /v1/nothing", "POST /admin/keys", "GET /v1", "DELETE /", "GET /docs/", "GET //v1/models"])(
    "%s: what is not open is closed, whether it exists or not",
    async (name) => {
      const { app } = setUp();
      const [method, path] = name.split(" ");
      const { status } = await app.request(path, { method });
      expect(status).toBe(name === "DELETE /" ? 404 : 401);
    },
  );

  test.each([...publicPaths])("%s is open", async (path) => {
    const { app } = setUp();
    expect((await app.request(path)).status).toBe(200);
  });

  test("CORS: a preflight needs no key, a reply may be read", async () => {
    const { app, call } = setUp();
    const preflight = await app.request("/v1/responses", {
      method: "OPTIONS",
      headers: {
        origin: "https://page.test",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
      },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get("access-control-allow-headers")).toContain("authorization");
    const { response } = await call("GET", "/v1/models", undefined, { origin: "https://page.test" });
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    expect(response.headers.get("access-control-expose-headers")).toContain("x-request-id");
  });

  test("over the limit: 429 with Retry-After", async () => {
    const { services, openai, call } = setUp();
    services.isOverLimit = true;
    const { response, status, text } = await call("GET", "/v1/models");
    expect([status, response.headers.get("retry-after")]).toStrictEqual([429, "10"]);
    expectError(text);
    await expect(openai.models.list()).rejects.toBeInstanceOf(OpenAI.RateLimitError);
  });
});

describe("ids", () => {
  const withIds = closed.filter((name) => name.includes(":") && !name.includes(":model"));

  test.each(withIds)("%s: 404 for another tenant's ids and for forged ones", async (name) => {
    const { openai, call, services } = setUp();
    const { id: conversation } = await openai.conversations.create();
    const response = await openai.responses.create({ model, input: "secret", conversation });
    const item = response.output[0].id!;
    const [method, path] = name.split(" ");
    const send = (ids: Record<string, string>, key: string) => {
      const octets = method === "PUT" ? { "content-type": "application/octet-stream" } : {};
      const url = path.replaceAll(/:(\w+)/g, (_, param) => encodeURIComponent(ids[param]));
      return call(method, url, bodies[name], { authorization: `Bearer ${key}`, ...octets });
    };
    const own = { conversation_id: conversation, response_id: response.id, item_id: item };
    const touched = services.touched.length;
    const forged = { conversation_id: "conv_x", response_id: "resp_x", item_id: "msg_x" };
    const swapped = { conversation_id: response.id, response_id: item, item_id: conversation };
    for (const [ids, key] of [
      [own, "sk-bob"],
      [forged, "sk-alice"],
      [swapped, "sk-alice"],
    ] as const) {
      const { status, text } = await send(ids, key);
      expect(status).toBe(404);
      expectError(text);
      expect(text).not.toContain("secret");
    }
    expect(services.touched.slice(touched)).toStrictEqual([]); // no object was reached
    expect((await send(own, "sk-alice")).status).toBe(200);
  });

  test("in bodies, too", async () => {
    const { openai, bob } = setUp();
    const { id } = await openai.conversations.create();
    const response = await openai.responses.create({ model, input: "secret", conversation: id });
    const attempts = [
      bob.responses.create({ model, input: "x", previous_response_id: response.id }),
      bob.responses.create({ model, input: "x", conversation: id }),
      bob.responses.create({ model, input: "x", conversation: { id } }),
    ];
    for (const attempt of attempts) await expect(attempt).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });
});

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
    expect(sent).toBeLessThan(3 * 1024 * 1024);
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

describe("documentation", () => {
  test("openapi.json describes every route and resolves every name", async () => {
    const { app } = setUp();
    const text = await (await app.request("/openapi.json")).text();
    const document = JSON.parse(text);
    expect(document.openapi).toBe("3.1.0");
    const paths = Object.entries(document.paths as Record<string, object>).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ":$1")}`),
    );
    expect(paths.sort()).toStrictEqual(named.filter((name) => name !== "GET /openapi.json").sort());
    for (const [, name] of text.matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      expect(document.components.schemas).toHaveProperty(name);
    }
  });

  test("/docs shows every route and loads nothing", async () => {
    const { app } = setUp();
    const response = await app.request("/docs");
    const page = await response.text();
    for (const name of named.filter((one) => !one.includes("openapi.json"))) {
      expect(page).toContain(`<code>${name.split(" ")[1].replaceAll(/:(\w+)/g, "{$1}")}</code>`);
    }
    expect(page).not.toMatch(/<script|<link|<img|src=|@import|url\(|https?:\/\//);
    expect(response.headers.get("content-security-policy")).toContain("default-src 'none'");
  });

  test("/ says how to make the first call", async () => {
    const { app } = setUp();
    const text = await (await app.request("http://127.0.0.1:8787/")).text();
    expect(text).toContain("curl http://127.0.0.1:8787/v1/responses");
  });
});
