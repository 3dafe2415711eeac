/** Whose things are whose: foreign, forged and mutated ids lead nowhere, on every route that the router has. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ask, fetchFrom, type Json, type Reply, send } from "./http.ts";
import { objectIds } from "./object-files.ts";
import { allRoutes, isPublic, type Route } from "./routes.ts";
import { Runtime } from "./runtime.ts";

/** What a tenant has: the ids of real things. */
interface Belongings {
  readonly key: string;
  readonly conversation: string;
  readonly response: string; //   the conversation's
  readonly standalone: string; // a response outside of any conversation
  readonly item: string;
  readonly state: Uint8Array;
}

interface Request {
  readonly path: string;
  readonly body?: Json | Uint8Array;
}

const say = { input: "Hello.", max_output_tokens: 2 };
const one = (path: string, body?: Json | Uint8Array): Request[] => [body === undefined ? { path } : { path, body }];
const octets = { "content-type": "application/octet-stream" };

/**
 * For every route, requests that name things of a tenant: in the path, the query or the body. A route without any has an
 * empty list. `mine` is what the asking tenant has. Those that erase come last.
 */
const requests: Readonly<Record<string, (theirs: Belongings, mine: Belongings) => Request[]>> = {
  "GET /v1/responses/:response_id": ({ response, standalone }) =>
    [response, standalone].flatMap((id) => [
      { path: `/v1/responses/${id}` },
      { path: `/v1/responses/${id}?stream=true` },
      { path: `/v1/responses/${id}?stream=true&starting_after=3` },
    ]),
  "POST /v1/responses/:response_id/cancel": ({ response }) => one(`/v1/responses/${response}/cancel`),
  "GET /v1/responses/:response_id/input_items": ({ response }) => one(`/v1/responses/${response}/input_items`),
  "POST /v1/responses": ({ standalone, conversation }) => [
    { path: "/v1/responses", body: { ...say, previous_response_id: standalone } },
    { path: "/v1/responses", body: { ...say, previous_response_id: standalone, stream: true } },
    { path: "/v1/responses", body: { ...say, previous_response_id: standalone, background: true } },
    { path: "/v1/responses", body: { ...say, conversation } },
    { path: "/v1/responses", body: { ...say, conversation: { id: conversation } } },
  ],
  "GET /v1/conversations": ({ conversation }) => one(`/v1/conversations?after=${conversation}`),
  "GET /v1/conversations/:conversation_id": ({ conversation }) => one(`/v1/conversations/${conversation}`),
  "POST /v1/conversations/:conversation_id": ({ conversation }) =>
    one(`/v1/conversations/${conversation}`, { metadata: { a: "b" } }),
  "POST /v1/conversations/:conversation_id/fork": ({ conversation, response }, mine) => [
    { path: `/v1/conversations/${conversation}/fork`, body: {} },
    { path: `/v1/conversations/${mine.conversation}/fork`, body: { response_id: response } },
  ],
  "GET /v1/conversations/:conversation_id/items": ({ conversation, item }, mine) => [
    { path: `/v1/conversations/${conversation}/items` },
    { path: `/v1/conversations/${mine.conversation}/items?after=${item}` },
  ],
  "POST /v1/conversations/:conversation_id/items": ({ conversation }) =>
    one(`/v1/conversations/${conversation}/items`, { items: [{ role: "user", content: "Hi." }] }),
  "GET /v1/conversations/:conversation_id/items/:item_id": ({ conversation, item }, mine) => [
    { path: `/v1/conversations/${conversation}/items/${item}` },
    { path: `/v1/conversations/${mine.conversation}/items/${item}` },
  ],
  "PUT /v1/conversations/:conversation_id/state": ({ conversation }, { state }) =>
    one(`/v1/conversations/${conversation}/state`, state),
  "GET /v1/conversations/:conversation_id/state": ({ conversation }) => one(`/v1/conversations/${conversation}/state`),
  "DELETE /v1/conversations/:conversation_id/items/:item_id": ({ conversation, item }, mine) => [
    { path: `/v1/conversations/${mine.conversation}/items/${item}` },
    { path: `/v1/conversations/${conversation}/items/${item}` },
  ],
  "DELETE /v1/responses/:response_id": ({ standalone }) => one(`/v1/responses/${standalone}`),
  "DELETE /v1/conversations/:conversation_id": ({ conversation }) => one(`/v1/conversations/${conversation}`),
  // A tenant's own things are all that these can name.
  "POST /v1/chat/completions": () => [],
  "POST /v1/conversations": () => [],
  "POST /v1/completions": () => [],
  "POST /v1/tokenize": () => [],
  "POST /v1/detokenize": () => [],
  "GET /v1/models": () => [],
  "GET /v1/models/:model": () => [],
  "GET /v1/models/:model/bundle/:file": () => [],
  "GET /v1/usage": () => [],
  "GET /v1/data": () => [],
  "DELETE /v1/data": () => [],
  // Not for keys at all: tested below.
  "POST /admin/keys": () => [],
  "GET /admin/keys": () => [],
  "DELETE /admin/keys/:id": () => [],
};

const nameOf = ({ method, path }: Route) => `${method} ${path}`;
const closedRoutes = () => allRoutes().filter((route) => !isPublic(route));

let runtime: Runtime;
let a: Belongings;
let b: Belongings;
const persist = mkdtempSync(join(tmpdir(), "aerie-tenancy-"));

beforeAll(async () => {
  runtime = await Runtime.start({ persist, requestsPerMinute: 100_000 });
  a = await settle("anna");
  b = await settle("bert");
});
afterAll(async () => {
  await runtime?.stop();
  rmSync(persist, { recursive: true, force: true });
});

async function settle(tenant: string): Promise<Belongings> {
  const key = await runtime.key(tenant);
  const { id: conversation } = await ask(runtime, key, "POST", "/v1/conversations", {});
  const { id: response } = await ask(runtime, key, "POST", "/v1/responses", { ...say, conversation });
  const { id: standalone } = await ask(runtime, key, "POST", "/v1/responses", { ...say, store: true });
  const { data } = await ask(runtime, key, "GET", `/v1/conversations/${conversation}/items`);
  const state = await fetchFrom(runtime, key, "GET", `/v1/conversations/${conversation}/state`);
  expect(state.status).toBe(200);
  return {
    key,
    conversation,
    response,
    standalone,
    item: data[0].id,
    state: new Uint8Array(await state.arrayBuffer()),
  };
}

function request(key: string | null, route: Route, { path, body }: Request): Promise<Reply> {
  return send(runtime, key, route.method, path, body, body instanceof Uint8Array ? { headers: octets } : {});
}

const errorShape = {
  error: { message: expect.any(String), type: "invalid_request_error", code: expect.any(String) },
};

function everyObject(): string[] {
  return (["Conversation", "Tenant"] as const).flatMap((name) => objectIds(persist, name));
}

describe("ids", () => {
  test("the list above has every route, and every id in a path is somebody's", () => {
    expect(Object.keys(requests).sort()).toStrictEqual(closedRoutes().map(nameOf).sort());
    for (const route of closedRoutes())
      if (/:(?!model|file|id)/.test(route.path))
        expect(requests[nameOf(route)](b, a), nameOf(route)).not.toStrictEqual([]);
  });

  test("another tenant's ids are as good as none, on every route", async () => {
    for (const route of closedRoutes()) {
      for (const theirs of requests[nameOf(route)](b, a)) {
        const foreign = await request(a.key, route, theirs);
        expect(foreign.status, `${route.method} ${theirs.path}: ${foreign.text}`).toBe(404);
        expect(foreign.json).toMatchObject(errorShape);
        expect(foreign.text).not.toContain("another tenant");
        // The same words as for an id that was never made, but for the id itself.
        const never = JSON.parse(JSON.stringify(theirs).replaceAll(b.conversation, swapped(b.conversation))) as Request;
        if (theirs.body instanceof Uint8Array || never.path === theirs.path) continue;
        const unknown = await request(a.key, route, never);
        expect(unknown.text.replaceAll(swapped(b.conversation), b.conversation)).toBe(foreign.text);
      }
    }
  });

  test("a state file of another tenant's is refused", async () => {
    const path = `/v1/conversations/${a.conversation}/state`;
    const reply = await send(runtime, a.key, "PUT", path, b.state, { headers: octets });
    expect(reply).toMatchObject({ status: 400, json: errorShape });
  });

  test("forged and mutated ids reach no object", async () => {
    const before = everyObject();
    const paths = [
      (id: string) => `/v1/responses/${id}`,
      (id: string) => `/v1/conversations/${id}`,
      (id: string) => `/v1/conversations/${a.conversation}/items/${id}`,
    ];
    const real = [a.response, a.conversation, a.item];
    for (const [at, id] of real.entries()) {
      expect((await send(runtime, a.key, "GET", paths[at](id))).status).toBe(200);
      for (const forged of [...mutations(id), ...forgeries(id), ...real.filter((other) => other !== id)]) {
        const path = paths[at](encodeURIComponent(forged));
        const reply = await send(runtime, a.key, "GET", path);
        expect([404, 400], `${path}: ${reply.text}`).toContain(reply.status);
        expect(reply.json, path).toMatchObject(errorShape);
      }
    }
    for (const forged of forgeries(a.response)) {
      const body = { ...say, previous_response_id: forged };
      expect(await send(runtime, a.key, "POST", "/v1/responses", body)).toMatchObject({
        status: 404,
        json: errorShape,
      });
      const inConversation = { ...say, conversation: forged.replace("resp_", "conv_") };
      expect((await send(runtime, a.key, "POST", "/v1/responses", inConversation)).status).toBe(404);
    }
    expect(everyObject()).toStrictEqual(before);
  });

  test("every request above was one that their owner may make", async () => {
    for (const name of Object.keys(requests)) {
      const route = closedRoutes().find((one) => nameOf(one) === name) as Route;
      for (const mine of requests[name](b, b)) {
        const reply = await request(b.key, route, mine);
        // Erased once, an item is gone the second time; a state that was just replaced by the import is b's or a's.
        const allowed = name.startsWith("DELETE") || name.endsWith("/state") ? [200, 400, 404, 409] : [200];
        expect(allowed, `${name} ${mine.path}: ${reply.text}`).toContain(reply.status);
      }
    }
  });
});

describe("keys", () => {
  test("without one, and with a forged one, every route but the public ones says 401; no object is made", async () => {
    const before = everyObject();
    const forged = ["", "sk-", `sk-ghost-${"0".repeat(64)}`, `${a.key.slice(0, -1)}${a.key.endsWith("0") ? "1" : "0"}`];
    for (const route of closedRoutes()) {
      const path = route.path.replace(/:\w+/g, a.response);
      for (const key of [null, ...forged, ...(route.path.startsWith("/admin") ? [a.key] : [])]) {
        const reply = await send(runtime, key, route.method, path, route.method === "GET" ? undefined : {});
        expect(reply.status, `${nameOf(route)} with ${key}: ${reply.text}`).toBe(401);
        expect(reply.json).toMatchObject(errorShape);
      }
    }
    expect(everyObject()).toStrictEqual(before);
  });

  test("a deployment without AERIE_SECRET refuses every route and says what to set", async () => {
    const bare = await Runtime.start({ isUnconfigured: true, onLog: () => undefined });
    try {
      for (const route of closedRoutes()) {
        const path = route.path.replace(/:\w+/g, a.response);
        for (const key of [null, a.key, `admin-${"0".repeat(64)}`]) {
          const reply = await send(bare, key, route.method, path, route.method === "GET" ? undefined : {});
          expect(reply.status, `${nameOf(route)}: ${reply.text}`).toBe(503);
          expect(reply.json.error.message).toContain("wrangler secret put AERIE_SECRET");
        }
      }
      for (const route of allRoutes().filter(isPublic))
        expect((await send(bare, null, "GET", route.path)).status).toBe(200);
    } finally {
      await bare.stop();
    }
  });
});

/** The same id of another object: its MAC is then nobody's. */
function swapped(id: string): string {
  const at = "conv_".length + 3;
  return `${id.slice(0, at)}${id[at] === "A" ? "B" : "A"}${id.slice(at + 1)}`;
}

/** One letter changed at every place. */
function mutations(id: string): string[] {
  return [...id].map((letter, at) => `${id.slice(0, at)}${letter === "A" ? "B" : "A"}${id.slice(at + 1)}`);
}

function forgeries(id: string): string[] {
  const [prefix] = id.split("_");
  const zeros = "A".repeat(id.length - prefix.length - 1);
  return [
    `${prefix}_${zeros}`,
    id.slice(0, -1),
    `${id}A`,
    `${id}=`,
    id.toUpperCase(),
    id.toLowerCase(),
    id.replace("_", "-"),
    id.slice(prefix.length + 1),
    `${prefix}_`,
    "__proto__",
    "constructor",
    "..",
    "%00",
    "0".repeat(64),
    "x".repeat(200),
  ].filter((forged) => forged !== id);
}
