/**
 * How many calls to objects a request makes. A deployment allows 1,000 or more subrequests of one (wrangler.toml asks for
 * more, for exports); the local runtime counts nothing. Objects are no service bindings, so the bound of 32 Workers per
 * request is another. Besides these a request asks the rate limiter once, and once in 30 seconds whether its key still holds.
 */

import { expect, test } from "vitest";
import { createApp } from "../../shared/api/app.ts";
import { FakeServices } from "./fake-services.ts";

const MAX_CALLS = 500;

/** Of one request: every method called of any object. */
function counted() {
  const services = new FakeServices();
  let calls = 0;
  const counting = <Port extends object>(port: Port): Port =>
    new Proxy(port, {
      get(target, name) {
        const value = Reflect.get(target, name, target) as unknown;
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => {
          calls++;
          return (value as (...args: unknown[]) => unknown).apply(target, args);
        };
      },
    });
  const [conversation, tenant, prefixes] = [services.conversation, services.tenant, services.prefixes].map((port) =>
    (port as (...args: unknown[]) => object).bind(services),
  );
  Object.assign(services, {
    conversation: (...args: unknown[]) => counting(conversation!(...args)),
    tenant: (...args: unknown[]) => counting(tenant!(...args)),
    prefixes: (...args: unknown[]) => counting(prefixes!(...args)),
  });
  const app = createApp(services);
  return async (
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ calls: number; json: Record<string, unknown> }> => {
    calls = 0;
    const headers = {
      authorization: "Bearer sk-alice",
      "content-type": "application/json",
      "idempotency-key": `k${Math.random()}`,
    };
    const response = await app.request(path, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    expect(response.status, text).toBe(200);
    return { calls, json: text.startsWith("{") && !text.trim().includes("\n") ? JSON.parse(text) : {} };
  };
}

const messages = [
  { role: "user", content: "hi" },
  { role: "assistant", content: "echo: hi" },
  { role: "user", content: "and?" },
];

test("a turn makes a handful, however long its history", async () => {
  const call = counted();
  expect((await call("POST", "/v1/chat/completions", { messages })).calls).toBeLessThanOrEqual(8);
  expect((await call("POST", "/v1/chat/completions", { messages, n: 8, store: true })).calls).toBeLessThanOrEqual(16);
  expect((await call("POST", "/v1/chat/completions", { messages, store: false })).calls).toBe(0);
  const { calls, json } = await call("POST", "/v1/responses", { input: "hi", store: true });
  expect(calls).toBeLessThanOrEqual(4);
  expect(
    (await call("POST", "/v1/responses", { input: "hi", previous_response_id: json.id })).calls,
  ).toBeLessThanOrEqual(4);
});

test("the longest page of conversations, and the largest batch that is erased at once", async () => {
  const call = counted();
  for (let at = 0; at < 250; at++) await call("POST", "/v1/conversations", {});
  expect((await call("GET", "/v1/conversations?limit=100")).calls).toBe(101);
  expect((await call("GET", "/v1/data")).calls).toBeLessThanOrEqual(250 + 3); // one for each object: the one without a bound
  const first = await call("DELETE", "/v1/data");
  expect(first.json).toMatchObject({ conversations: 200, has_more: true });
  expect(first.calls).toBe(401);
  expect(first.calls).toBeLessThan(MAX_CALLS);
  expect((await call("DELETE", "/v1/data")).json).toMatchObject({ conversations: 50, has_more: false });
});

test("more log-probabilities than a message between objects holds are refused by name", async () => {
  const app = createApp(new FakeServices());
  const ask = async (path: string, body: unknown) => {
    const headers = { authorization: "Bearer sk-alice", "content-type": "application/json" };
    const response = await app.request(path, { method: "POST", headers, body: JSON.stringify(body) });
    return {
      status: response.status,
      error: ((await response.json()) as { error?: { param: string; message: string } }).error,
    };
  };
  const chat = { messages: [{ role: "user", content: "hi" }], logprobs: true, top_logprobs: 20 };
  expect(await ask("/v1/chat/completions", { ...chat, max_tokens: 4761 })).toMatchObject({ status: 200 });
  const refused = await ask("/v1/chat/completions", { ...chat, max_tokens: 4762 });
  expect(refused).toMatchObject({ status: 400, error: { param: "top_logprobs" } });
  expect(refused.error?.message).toContain("are 100002 log-probabilities, at most 100000");
  expect(await ask("/v1/chat/completions", { ...chat, max_tokens: 600, n: 8 })).toMatchObject({ status: 400 });
  expect(await ask("/v1/responses", { input: "hi", top_logprobs: 20, max_output_tokens: 16_384 })).toMatchObject({
    status: 400,
  });
  expect(await ask("/v1/completions", { prompt: ["a", "b"], logprobs: 20, max_tokens: 3000 })).toMatchObject({
    error: { param: "logprobs" },
  });
  expect(await ask("/v1/responses", { input: "hi", max_output_tokens: 16_384 })).toMatchObject({ status: 200 });
});
