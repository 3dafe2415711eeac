/** Who gets in, how far, and what a hostile request gets: always an error in the one shape, never more. */

import { Hono } from "hono";
import OpenAI from "openai";
import { describe, expect, test } from "vitest";
import { ApiError } from "../../shared/api/api-error.ts";
import { createApp, publicPaths } from "../../shared/api/app.ts";
import { expectError, setUp } from "./client.ts";
import { FakeServices, MODEL } from "./fake-services.ts";

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

  test("admin answers by an authentication of its own, its errors in our shape", async () => {
    const admin = new Hono();
    admin.get("/keys", (context) => {
      if (context.req.header("authorization") === "Bearer admin") return context.text("keys");
      throw new ApiError(401, "invalid_admin_token", "No.");
    });
    const app = createApp(new FakeServices(), { admin });
    const send = (key: string) => app.request("/admin/keys", { headers: { authorization: `Bearer ${key}` } });
    expect(await (await send("admin")).text()).toBe("keys");
    const refused = await send("sk-alice");
    expect(refused.status).toBe(401);
    expect(refused.headers.get("x-request-id")).toMatch(/^req_/);
    expectError(await refused.text());
    expect((await app.request("/admin/other", { headers: { authorization: "Bearer admin" } })).status).toBe(401);
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
