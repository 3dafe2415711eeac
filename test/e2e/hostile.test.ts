/** Whatever is sent, the answer is a refusal in the one error shape, and the next request is served as if nothing had been. */

import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { bodies, fields, TEN_MEGABYTES } from "./hostile-values.ts";
import { ask, outputOf, type Reply, send } from "./http.ts";
import { allRoutes } from "./routes.ts";
import { Runtime } from "./runtime.ts";

let runtime: Runtime;
let key: string;
let conversation: string;
let response: string;
let usual: string;

const normal = { input: "Hello there.", temperature: 0, max_output_tokens: 8 };

beforeAll(async () => {
  runtime = await Runtime.start({ requestsPerMinute: 100_000 });
  key = await runtime.key();
  usual = outputOf(await ask(runtime, key, "POST", "/v1/responses", normal));
  conversation = (await ask(runtime, key, "POST", "/v1/conversations", {})).id;
  response = (await ask(runtime, key, "POST", "/v1/responses", { ...normal, conversation })).id;
});
afterAll(() => runtime?.stop());
afterEach(async () => {
  expect(outputOf(await ask(runtime, key, "POST", "/v1/responses", normal))).toBe(usual);
});

function expectRefusal({ status, text, json }: Reply, what: string): void {
  expect(status, `${what}: ${text.slice(0, 300)}`).toBeGreaterThanOrEqual(400);
  expect(status, `${what}: ${text.slice(0, 300)}`).toBeLessThan(500);
  expect(json, `${what}: ${text.slice(0, 300)}`).toStrictEqual({
    error: {
      message: expect.any(String),
      type: expect.stringMatching(/^(invalid_request_error|rate_limit_error)$/),
      param: json?.error?.param === null ? null : expect.any(String),
      code: expect.any(String),
    },
  });
  expect(text, what).not.toMatch(/\bat .*\.(js|ts):\d+|node_modules|ZodError/); // no stack, nothing of the inside
  expect(text.length, what).toBeLessThan(4000); // what was sent is not echoed at length
}

/** Every route that takes JSON, with a body that it would take. */
const jsonRoutes = (): [path: string, body: string][] => [
  ["/v1/chat/completions", '"messages":[{"role":"user","content":"Hi"}],"max_tokens":2'],
  ["/v1/responses", '"input":"Hi","max_output_tokens":2'],
  ["/v1/completions", '"prompt":"Hi","max_tokens":2'],
  ["/v1/conversations", '"metadata":{}'],
  [`/v1/conversations/${conversation}`, '"metadata":{}'],
  [`/v1/conversations/${conversation}/items`, '"items":[{"role":"user","content":"Hi"}]'],
  [`/v1/conversations/${conversation}/fork`, '"metadata":{}'],
  ["/v1/tokenize", '"text":"Hi"'],
  ["/v1/detokenize", '"tokens":[5]'],
];

test("bodies: too large, no JSON, no text, other shapes", { timeout: 120_000 }, async () => {
  for (const [path, fields] of jsonRoutes())
    for (const [name, body] of bodies(fields))
      expectRefusal(await send(runtime, key, "POST", path, body), `${path}: ${name}`);
});

test("a body without a length that does not end in time is cut off", async () => {
  let sent = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      sent += 65_536;
      if (sent > 4 * TEN_MEGABYTES) controller.close();
      else controller.enqueue(new Uint8Array(65_536).fill(0x20));
    },
  });
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const options = { method: "POST", headers, body, duplex: "half" } as RequestInit;
  const answer = await fetch(`${runtime.url}/v1/responses`, options).catch(() => null); // or the connection is closed
  if (answer) expect(answer.status).toBe(413);
});

test("numbers beyond all bounds, and values of other types, are refused by name", async () => {
  for (const [field, values] of Object.entries(fields))
    for (const value of values) {
      const rest = Object.entries(normal).filter(([name]) => name !== field);
      const whole = rest.map(([name, usually]) => `"${name}":${JSON.stringify(usually)}`).join(",");
      const reply = await send(runtime, key, "POST", "/v1/responses", `{${whole},"${field}":${value}}`);
      expectRefusal(reply, `${field}: ${value}`);
      if (reply.json.error.code !== "invalid_json") expect(reply.json.error.param).toMatch(new RegExp(`^${field}`));
    }
  const chat = '"messages":[{"role":"user","content":"Hi"}]';
  for (const n of ["0", "-1", "9", "129", "1e9", "1e400", "1.5", '"2"', "2147483648", "9007199254740993"])
    expectRefusal(await send(runtime, key, "POST", "/v1/chat/completions", `{${chat},"n":${n}}`), `n: ${n}`);
  for (const prompt of [
    "[99999]",
    "[-1]",
    "[1e400]",
    "[[]]",
    "[]",
    "7",
    "[1.5]",
    '["a",7]',
    `[${'"a",'.repeat(8)}"a"]`,
  ])
    expectRefusal(await send(runtime, key, "POST", "/v1/completions", `{"prompt":${prompt}}`), `prompt: ${prompt}`);
  for (const tokens of ["[99999]", "[-1]", "[1e400]", '["1"]', "7", "[4294967295]"])
    expectRefusal(await send(runtime, key, "POST", "/v1/detokenize", `{"tokens":${tokens}}`), `tokens: ${tokens}`);
});

test("queries: numbers, orders and names that do not exist", async () => {
  const bad = [
    "starting_after=-1",
    "starting_after=1e400",
    "starting_after=NaN",
    "starting_after=1.5",
    "starting_after=",
  ];
  const streams = [...bad, "starting_after=99999999999999999999", "starting_after=1&starting_after=2", "x=1"];
  for (const query of streams) {
    const path = `/v1/responses/${response}?stream=true&${query}`;
    expectRefusal(await send(runtime, key, "GET", path), query);
  }
  expectRefusal(await send(runtime, key, "GET", `/v1/responses/${response}?stream=yes`), "stream=yes");
  expectRefusal(await send(runtime, key, "GET", `/v1/responses/${response}?starting_after=1`), "without stream");
  for (const query of [
    "limit=0",
    "limit=101",
    "limit=-1",
    "limit=1e2",
    "order=up",
    "after=x",
    "after=__proto__",
    "y=1",
  ])
    for (const path of [
      "/v1/conversations",
      `/v1/conversations/${conversation}/items`,
      `/v1/responses/${response}/input_items`,
    ])
      expectRefusal(await send(runtime, key, "GET", `${path}?${query}`), `${path}?${query}`);
});

test("paths that are none", async () => {
  const paths = [
    "/v1",
    "/v1/",
    "//v1/models",
    "/v1/%2e%2e/admin/keys",
    "/v1/responses/%ff",
    "/v1/responses/%00",
    "/v1/models/%",
  ];
  const more = [
    "/V1/models",
    "/v1/models/../../etc/passwd",
    `/v1/${"x".repeat(8000)}`,
    "/.env",
    "/assets/models",
    "/models/fledgling-4m/config.json",
  ];
  for (const path of [...paths, ...more]) expectRefusal(await send(runtime, key, "GET", path), path);
});

test("other content types, and methods that a route does not have", async () => {
  const types = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/xml",
    "",
    "json",
  ];
  for (const [path, body] of jsonRoutes())
    for (const type of types) {
      const reply = await send(runtime, key, "POST", path, `{${body}}`, { headers: { "content-type": type } });
      expectRefusal(reply, `${path} as ${type}`);
    }
  const state = `/v1/conversations/${conversation}/state`;
  expectRefusal(await send(runtime, key, "PUT", state, "{}"), "a state as JSON");
  const known = new Set(allRoutes().map(({ method, path }) => `${method} ${path}`));
  for (const route of allRoutes())
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"]) {
      if (known.has(`${method} ${route.path}`) || route.path.startsWith("/admin")) continue;
      const path = route.path.replace(/:\w+/g, response);
      expectRefusal(await send(runtime, key, method, path, method === "GET" ? undefined : {}), `${method} ${path}`);
    }
});

test("headers: too long, twice, with lines in them", async () => {
  const long = "k".repeat(256);
  const post = (headers: Record<string, string>, expected: "refused" | "served") =>
    send(runtime, key, "POST", "/v1/responses", normal, { headers }).then((reply) => {
      if (expected === "refused") expectRefusal(reply, JSON.stringify(headers).slice(0, 100));
      else expect(reply.status, JSON.stringify(headers)).toBe(200);
    });
  await post({ "idempotency-key": long }, "refused");
  await post({ authorization: `Bearer ${key} ${"x".repeat(1000)}` }, "refused");
  await post({ authorization: `Basic ${key}` }, "refused");
  await post({ authorization: `Bearer ${key}, Bearer ${key}` }, "refused");
  await post({ authorization: key }, "refused");
  await post({ "idempotency-key": "é".repeat(10), "x-request-id": "a".repeat(5000) }, "served");
  await post(
    { "x-forwarded-for": "1.2.3.4", host: "evil.example", origin: "null", "accept-encoding": "bogus" },
    "served",
  );
});

describe("below HTTP", () => {
  const port = () => Number(new URL(runtime.url).port);
  /** What comes back for bytes that need not be a request; "" where the connection is just closed. */
  const raw = (text: string) =>
    new Promise<string>((resolve) => {
      let answer = "";
      const socket = connect(port(), "127.0.0.1", () => socket.write(text));
      socket.setTimeout(2000, () => socket.destroy());
      socket.on("data", (data) => {
        answer += data;
      });
      socket.on("error", () => undefined);
      socket.on("close", () => resolve(answer));
    });

  test("methods that nobody knows", async () => {
    for (const method of ["PURGE", "TRACE", "PROPFIND", "SEARCH"]) {
      const status = await new Promise<number | undefined>((resolve, reject) => {
        const headers = { authorization: `Bearer ${key}` };
        const sent = httpRequest({ host: "127.0.0.1", port: port(), method, path: "/v1/models", headers }, (answer) => {
          answer.resume().on("end", () => resolve(answer.statusCode));
        });
        sent.on("error", reject).end();
      });
      expect(status, method).toBeGreaterThanOrEqual(400);
    }
  });

  test.each([
    ["no HTTP", "hello\r\n\r\n"],
    ["TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
    ["no version", "GET /v1/models\r\n\r\n"],
    ["a header without a colon", "GET /v1/models HTTP/1.1\r\nhost\r\n\r\n"],
    ["100 kB of headers", `GET /v1/models HTTP/1.1\r\nhost: x\r\nx: ${"y".repeat(100_000)}\r\n\r\n`],
    ["two lengths", "POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!"],
    ["a negative length", "POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n"],
    ["broken chunks", "POST /v1/responses HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n"],
  ])("%s is refused, or the connection is closed", async (_, text) => {
    expect(await raw(text)).toMatch(/^(HTTP\/1\.1 [45]\d\d |$)/);
  });
});

test("random fields: a refusal in the error shape or a reply, never a 500", { timeout: 120_000 }, async () => {
  const names = Object.keys(fields).filter((name) => name !== "max_output_tokens");
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.double(),
    fc.integer(),
    fc.constantFrom("NaN", "", "\u0000", "\ud800"),
  );
  const body = fc.dictionary(fc.constantFrom(...names, "include", "text", "reasoning", "store", "background"), value, {
    maxKeys: 3,
  });
  await fc.assert(
    fc.asyncProperty(body, async (given) => {
      const reply = await send(runtime, key, "POST", "/v1/responses", { ...normal, ...given });
      if (reply.status !== 200) expectRefusal(reply, JSON.stringify(given));
    }),
    { numRuns: 150 },
  );
});
