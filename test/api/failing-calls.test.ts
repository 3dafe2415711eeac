/**
 * Every call that a request makes of an object fails, before it has an effect or behind it, when nobody is told: a deployment,
 * an object that moves, a lost connection. The client hears an error and sends the request again, or notices nothing.
 */

import { isDeepStrictEqual } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { readMeta } from "../../shared/conversation/meta.ts";
import type { LoadedModel } from "../../shared/conversation/model-source.ts";
import type { UsageTotals } from "../../shared/conversation/tenant-types.ts";
import { type Fault, FaultPoints } from "../conversation/faults.ts";
import { sourceOf } from "../conversation/fixture.ts";
import { checkInvariants } from "../conversation/invariants.ts";
import { loadFledgling } from "../conversation/node-shell.ts";
import { expectError } from "./client.ts";
import { type CoreServices, coreServices } from "./core-services.ts";
import { failingBoundary } from "./failing-boundary.ts";

let loaded: LoadedModel;
beforeAll(async () => {
  loaded = await loadFledgling();
});

// biome-ignore lint/suspicious/noExplicitAny: whatever a reply holds; the scenes say what they expect of it
type Json = any;

interface Reply {
  readonly status: number;
  readonly text: string;
  readonly json: Json;
  readonly bytes: Uint8Array;
  /** The connection broke off behind the status. */
  readonly isBroken: boolean;
}

type Send = (
  method: string,
  path: string,
  body?: object | Uint8Array,
  headers?: Record<string, string>,
) => Promise<Reply>;

/** What a client has heard; null: that something failed. */
type Heard = unknown;

interface Scene<State> {
  /** While nothing fails. */
  prepare(send: Send): Promise<State>;
  /** Where calls fail; once more if it was not heard to the end. */
  act(send: Send, state: State): Promise<Heard>;
  /** What can be asked for afterwards. Default: nothing is looked at. */
  after?(send: Send, state: State): Promise<Heard>;
  /** Sent again, the request has its effect a second time: turns and conversations are not counted. */
  isRepeated?: boolean;
}

const keyed = { "idempotency-key": "once" };
const greedy = { temperature: 0 };
const short = { ...greedy, max_output_tokens: 3 };
const ask = { ...greedy, max_completion_tokens: 3, messages: [{ role: "user", content: "Tell me a story." }] };

const chatOf = ({ json }: Reply) => {
  const [{ message, finish_reason: reason }] = json.choices;
  return { said: message.content, reason, prompt: json.usage.prompt_tokens, reply: json.usage.completion_tokens };
};

const responseOf = (json: Json) => ({
  said: json.output[0].content[0].text,
  status: json.status,
  input: json.usage.input_tokens,
  output: json.usage.output_tokens,
});

/** Of a stream that came to its end: the events are numbered without a gap, and their texts are the response's. */
function streamedResponse({ text }: Reply): Heard {
  const events: Json[] = [...text.matchAll(/^data: (\{.*)$/gm)].map(([, data]) => JSON.parse(data));
  const last = events.at(-1);
  if (last === undefined || last.type === "error" || !last.response?.usage) return null;
  expect(events.map(({ sequence_number: number }) => number)).toStrictEqual([...events.keys()]);
  const said = events.flatMap(({ type, delta }) => (type === "response.output_text.delta" ? [delta] : [])).join("");
  expect(said).toBe(responseOf(last.response).said);
  return responseOf(last.response);
}

/** null where the server failed; its error says nothing of the inside. */
async function heard(reply: Promise<Reply>, tell: (reply: Reply) => Heard): Promise<Heard> {
  const found = await reply;
  if (found.isBroken) return null;
  if (found.status < 500) return found.status === 200 ? tell(found) : { status: found.status };
  expectError(found.text);
  expect(found.text).not.toContain("point");
  return null;
}

const conversationWith = async (send: Send, turns: number): Promise<{ id: string; responses: string[] }> => {
  const { id } = (await send("POST", "/v1/conversations", { items: [] })).json;
  const responses: string[] = [];
  for (let turn = 0; turn < turns; turn++)
    responses.push((await send("POST", "/v1/responses", { ...short, input: "Hello.", conversation: id })).json.id);
  return { id, responses };
};

const itemsOf = (send: Send, id: string): Promise<Heard> =>
  heard(send("GET", `/v1/conversations/${id}/items?order=asc`), ({ json }) =>
    json.data.map(({ content }: Json) => content[0].text),
  );

/** By the first request or by the one before. */
const gone = async (reply: Promise<Reply>): Promise<Heard> => {
  const found = await heard(reply, ({ json }) => (json.deleted && !json.has_more ? "gone" : null));
  return isDeepStrictEqual(found, { status: 404 }) ? "gone" : found;
};

function scene<State>(one: Scene<State>): Scene<unknown> {
  return one as Scene<unknown>;
}

const nothing = async () => null;

const scenes: Record<string, Scene<unknown>> = {
  "a chat": scene({
    prepare: nothing,
    act: (send) => heard(send("POST", "/v1/chat/completions", ask, keyed), chatOf),
  }),
  "a streamed chat": scene({
    prepare: nothing,
    act: (send) =>
      heard(send("POST", "/v1/chat/completions", { ...ask, stream: true }, keyed), ({ text }) => {
        if (text.includes('"error"')) return null;
        expect(text).toContain("[DONE]");
        return [...text.matchAll(/"content":"([^"]*)"/g)].map(([, piece]) => piece).join("");
      }),
  }),
  "a chat that resends its history": scene({
    async prepare(send) {
      const { message } = (await send("POST", "/v1/chat/completions", ask)).json.choices[0];
      return { ...ask, messages: [...ask.messages, message, { role: "user", content: "And then?" }] };
    },
    act: (send, body) => heard(send("POST", "/v1/chat/completions", body, keyed), chatOf),
  }),
  "a response in a stream": scene({
    prepare: nothing,
    act: (send) =>
      heard(send("POST", "/v1/responses", { ...short, input: "Hello.", stream: true }, keyed), streamedResponse),
  }),
  "a response behind another": scene({
    prepare: async (send) => (await conversationWith(send, 1)).responses[0],
    act: (send, previous) =>
      heard(
        send("POST", "/v1/responses", { ...short, input: "And then?", previous_response_id: previous }, keyed),
        ({ json }) => responseOf(json),
      ),
  }),
  "a turn of a conversation": scene({
    prepare: async (send) => (await conversationWith(send, 1)).id,
    act: (send, conversation) =>
      heard(send("POST", "/v1/responses", { ...short, input: "And then?", conversation }, keyed), ({ json }) =>
        responseOf(json),
      ),
    after: itemsOf,
  }),
  "a turn that is refused": scene({
    prepare: async (send) => (await conversationWith(send, 1)).id,
    act: (send, conversation) => {
      const input = [
        { role: "system", content: "Rhyme." },
        { role: "user", content: "Hello." },
      ];
      return heard(send("POST", "/v1/responses", { ...short, input, conversation }, keyed), () => "answered");
    },
    after: itemsOf,
  }),
  "a response's events, read again": scene({
    prepare: async (send) => (await conversationWith(send, 1)).responses[0],
    act: (send, id) => heard(send("GET", `/v1/responses/${id}?stream=true`), streamedResponse),
  }),
  "a conversation that begins with messages": scene({
    prepare: nothing,
    act: async (send) => {
      const items = [{ role: "user", content: "Hello." }];
      const id = await heard(send("POST", "/v1/conversations", { items }), ({ json }) => json.id);
      return id === null ? null : itemsOf(send, id as string);
    },
    isRepeated: true,
  }),
  "a message that is added": scene({
    prepare: async (send) => (await conversationWith(send, 1)).id,
    act: (send, id) => {
      const items = [{ role: "user", content: "By the way:" }];
      return heard(send("POST", `/v1/conversations/${id}/items`, { items }), ({ json }) => json.data.length);
    },
  }),
  "a fork": scene({
    prepare: async (send) => (await conversationWith(send, 1)).id,
    act: async (send, id) => {
      const fork = await heard(send("POST", `/v1/conversations/${id}/fork`, {}), ({ json }) => json.id);
      return fork === null ? null : itemsOf(send, fork as string);
    },
    isRepeated: true,
  }),
  "the list of conversations": scene({
    async prepare(send) {
      for (let at = 0; at < 3; at++) await conversationWith(send, 0);
      return null;
    },
    act: (send) => heard(send("GET", "/v1/conversations?limit=2"), ({ json }) => [json.data.length, json.has_more]),
  }),
  "a state that goes into another conversation": scene({
    prepare: async (send) => [(await conversationWith(send, 1)).id, (await conversationWith(send, 0)).id],
    async act(send, [from, to]) {
      const file = await heard(send("GET", `/v1/conversations/${from}/state`), ({ bytes }) => bytes);
      if (file === null) return null;
      const path = `/v1/conversations/${to}/state`;
      const type = { "content-type": "application/octet-stream" };
      return heard(send("PUT", path, file as Uint8Array, type), ({ json }) => json.object);
    },
    after: (send, [, to]) => itemsOf(send, to),
  }),
  "a response's deletion": scene({
    prepare: (send) => conversationWith(send, 2),
    act: (send, { responses: [first] }) => gone(send("DELETE", `/v1/responses/${first}`)),
    after: (send, { id }) => itemsOf(send, id),
  }),
  "a conversation's deletion": scene({
    prepare: async (send) => (await conversationWith(send, 1)).id,
    act: (send, id) => gone(send("DELETE", `/v1/conversations/${id}`)),
    after: itemsOf,
  }),
  "the erasure of everything": scene({
    prepare: async (send) => [(await conversationWith(send, 1)).id, (await conversationWith(send, 1)).id],
    act: (send) => gone(send("DELETE", "/v1/data")),
    after: async (send, ids) => [
      ...(await Promise.all(ids.map((id) => itemsOf(send, id)))),
      (await send("GET", "/v1/data")).text,
    ],
  }),
  "an export of everything": scene({
    prepare: async (send) => [await conversationWith(send, 1), await conversationWith(send, 1)],
    act: (send) => heard(send("GET", "/v1/data"), ({ text }) => text.split("\n").length),
  }),
};

function sender({ app, key }: CoreServices): Send {
  return async (method, path, sent, headers = {}) => {
    const isRaw = sent instanceof Uint8Array;
    const response = await app.request(path, {
      method,
      headers: { authorization: `Bearer ${key}`, ...(sent && { "content-type": "application/json" }), ...headers },
      ...(sent && { body: isRaw ? (sent as Uint8Array<ArrayBuffer>) : JSON.stringify(sent) }),
    });
    const body = await response.arrayBuffer().catch(() => null);
    const bytes = new Uint8Array(body ?? new ArrayBuffer(0));
    const text = new TextDecoder().decode(bytes);
    const isJson = text !== "" && response.headers.get("content-type")?.startsWith("application/json");
    return { status: response.status, text, bytes, json: isJson ? JSON.parse(text) : {}, isBroken: body === null };
  };
}

/** Whoever exists is known to the tenant and sound, and what was used is counted once. */
async function checkWorld({ tenant, objects }: CoreServices): Promise<{ turns: number; conversations: number }> {
  const totals: UsageTotals[] = [];
  const known = new Set(await tenant.objects(null, 100));
  for (const [object, { host, core }] of objects) {
    await host.settled();
    await core.wake();
    await host.settled();
    expect(checkInvariants(host.sql, loaded)).toStrictEqual([]);
    const meta = readMeta(host.sql);
    if (!meta) continue;
    expect(meta.running).toStrictEqual([]);
    expect(known).toContain(object);
    totals.push(meta.usage);
  }
  const turns = totals.reduce((sum, usage) => sum + usage.turns, 0);
  expect((await tenant.usage()).turns).toBeGreaterThanOrEqual(turns); // of those that are gone too
  const { conversations } = await tenant.conversations({ limit: 100, order: "asc" });
  return { turns, conversations: conversations.length };
}

async function play({ prepare, act, after = nothing }: Scene<unknown>, fault: Fault | null) {
  let faults = new FaultPoints(null);
  const services = await coreServices(sourceOf(loaded), loaded.id, { boundary: failingBoundary(() => faults) });
  const send = sender(services);
  const state = await prepare(send);
  for (const { host } of services.objects.values()) await host.settled();
  faults = new FaultPoints(fault);
  const { passed } = faults;
  const first = await act(send, state);
  const { hasFired } = faults;
  faults = new FaultPoints(null);
  const said = first ?? (await act(send, state));
  const left = await after(send, state);
  return { said, left, world: await checkWorld(services), passed: [...passed], hasFired };
}

describe.each(Object.keys(scenes))("%s", (name) => {
  test("each of its calls fails, and its reply is lost", async () => {
    const one = scenes[name];
    const expected = await play(one, null);
    expect(expected.said).not.toBe(null);
    const { said, left, world } = expected;
    const isSame = one.isRepeated ? { said, left } : { said, left, world };
    for (let at = 1; ; at++) {
      const found = await play(one, { at, kind: "once" });
      if (!found.hasFired) break;
      expect(found, `point ${at}: ${found.passed[at - 1]}`).toMatchObject(isSame);
    }
  });
});
