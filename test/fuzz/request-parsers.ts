/** What clients send: bodies through the reader and the schemas, and queries, each as a request to the whole app. */

import fc from "fast-check";
import type { z } from "zod";
import { createApp } from "../../shared/api/app.ts";
import { chatRequest } from "../../shared/protocol/chat.ts";
import { completionRequest } from "../../shared/protocol/completions.ts";
import {
  createConversationRequest,
  createItemsRequest,
  forkRequest,
  updateConversationRequest,
} from "../../shared/protocol/conversations.ts";
import { errorBody } from "../../shared/protocol/errors.ts";
import { detokenizeRequest, tokenizeRequest } from "../../shared/protocol/models.ts";
import { responseRequest } from "../../shared/protocol/responses.ts";
import { FakeServices } from "../api/fake-services.ts";
import { largeBodies } from "./large-bodies.ts";
import { changedJson, changedValue, sized, textOf } from "./mutations.ts";
import { type AnyParser, entry, LARGE_BYTES, membersOf, mustBe, type Parser, type Verdict } from "./parser.ts";
import { unknownNames } from "./schema-names.ts";

const message = { role: "user", content: "hi there" };
const parts = {
  role: "user",
  content: [
    { type: "text", text: "a" },
    { type: "input_text", text: "b" },
  ],
};
const reply = {
  type: "message",
  role: "assistant",
  id: "msg_x",
  status: "completed",
  content: [{ type: "output_text", text: "c", annotations: [], logprobs: [] }],
};
const sampling = {
  temperature: 0.5,
  top_p: 0.9,
  top_k: 3,
  seed: 7,
  stop: ["a", "b"],
  logit_bias: { 5: 1 },
  presence_penalty: 1,
};
const neutral = {
  tools: [],
  tool_choice: "auto",
  response_format: { type: "text" },
  reasoning_effort: null,
  user: "u",
};

/** A right body of each kind, and one with every field. */
const bodies: Readonly<Record<string, readonly unknown[]>> = {
  "/v1/chat/completions": [
    { messages: [message] },
    {
      model: "parrot",
      messages: [{ role: "system", content: "s" }, parts, { role: "assistant", content: null }, message],
      ...sampling,
      ...neutral,
      n: 2,
      max_tokens: 9,
      logprobs: true,
      top_logprobs: 2,
      stream: false,
      stream_options: null,
      store: true,
      metadata: { a: "b" },
    },
    { messages: [message], stream: true, stream_options: { include_usage: true }, store: false },
  ],
  "/v1/completions": [
    { prompt: "hi" },
    {
      model: "other",
      prompt: [[1, 2], [3]],
      ...sampling,
      n: 2,
      max_tokens: 3,
      logprobs: 2,
      stream: true,
      best_of: 1,
      echo: false,
      suffix: "",
    },
    { prompt: ["a", "b"] },
    { prompt: [1, 2, 3] },
  ],
  "/v1/responses": [
    { input: "hi" },
    {
      model: "parrot",
      input: [message, reply, parts],
      instructions: "be brief",
      ...sampling,
      max_output_tokens: 5,
      top_logprobs: 1,
      include: ["message.output_text.logprobs"],
      metadata: { k: "v" },
      store: true,
      background: false,
      tools: [],
      text: { format: { type: "text" } },
      reasoning: null,
      truncation: "disabled",
    },
    { input: [message], stream: true },
    { input: "hi", store: false },
  ],
  "/v1/tokenize": [{ text: "hi there" }, { text: "", model: "other" }],
  "/v1/detokenize": [{ tokens: [1, 2, 3] }, { tokens: [], model: "parrot" }],
  "/v1/conversations/:conversation": [{ metadata: { a: "b" } }, { metadata: null }, { metadata: {} }],
  "/v1/conversations/:conversation/items": [{ items: [message] }, { items: [message, reply, parts] }],
  "/v1/conversations/:conversation/fork": [{}, { metadata: { a: "b" } }, { response_id: null }],
  "/v1/conversations": [{}, { items: [message, reply, parts], metadata: { a: "b" } }, { metadata: null, items: null }],
};

/** What says which names a body may have. */
const schemas: Readonly<Record<string, z.ZodType>> = {
  "/v1/chat/completions": chatRequest,
  "/v1/completions": completionRequest,
  "/v1/responses": responseRequest,
  "/v1/tokenize": tokenizeRequest,
  "/v1/detokenize": detokenizeRequest,
  "/v1/conversations/:conversation": updateConversationRequest,
  "/v1/conversations/:conversation/items": createItemsRequest,
  "/v1/conversations/:conversation/fork": forkRequest,
  "/v1/conversations": createConversationRequest,
};

/** Of all bodies. */
const LARGE_PERCENT = 2;

export function requestParsers(): readonly AnyParser[] {
  const clients = Object.entries(bodies).map(([path, sound]) =>
    entry({
      name: `body of ${path.slice("/v1/".length)}`,
      inputs: sized(textOf(changedJson(sound)), textOf(changedValue(largeBodies[path], 1)), LARGE_PERCENT),
      judge: requester((text: string) => ({ method: "POST", path, text })),
    }),
  );
  return [
    ...clients,
    entry({
      name: "queries",
      inputs: queries,
      judge: requester(({ path, query }: Query) => ({ method: "GET", path: path + query })),
    }),
    entry({ name: "resuming a stream", inputs: places, judge: judgeResume }),
  ];
}

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly text?: string;
}

/** Services that hold a few hundred requests' conversations at most: what grows should be the app's own. */
function requester<Input>(requestOf: (input: Input) => Sent): Parser<Input>["judge"] {
  let held: Awaited<ReturnType<typeof withConversation>> | null = null;
  let left = 0;
  return async (input, measured) => {
    if (left-- === 0) [held, left] = [null, 200];
    held ??= await withConversation();
    const { app, services, conversation } = held;
    const { method, path, text } = requestOf(input);
    const body = text !== undefined && text.length > LARGE_BYTES ? inPieces(new TextEncoder().encode(text)) : text;
    const reply = await measured(async () => {
      const response = await app.request(path.replace(":conversation", conversation), {
        method,
        headers: { authorization: "Bearer sk-alice", "content-type": "application/json" },
        ...(body === undefined ? {} : { body, duplex: "half" }),
      });
      return { response, text: await response.text() };
    });
    const verdict = judgeReply(reply, services);
    if (text !== undefined && text.length > LARGE_BYTES) held = null; // what it left here is no later one's growth
    if (verdict === "accepted" && text !== undefined) {
      mustBe(!membersOf(text).hasPrototype, "it has the key __proto__, which no schema sees");
      const unknown = unknownNames(schemas[path], JSON.parse(text.replace(/^\ufeff/, "")));
      mustBe(unknown.length === 0, `nobody looked at ${unknown.slice(0, 5)}`);
    }
    return verdict;
  };
}

const PIECE_BYTES = 65_536;

/** As a network brings it: of a body that is far too long, what nobody reads takes nothing. */
function inPieces(bytes: Uint8Array): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream(
    {
      pull(controller) {
        controller.enqueue(bytes.slice(at, at + PIECE_BYTES));
        at += PIECE_BYTES;
        if (at >= bytes.length) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}

/** An app with a conversation in which something was said. */
async function withConversation() {
  const services = new FakeServices();
  const app = createApp(services);
  const post = async (path: string, body: unknown) => {
    const headers = { authorization: "Bearer sk-alice", "content-type": "application/json" };
    const response = await app.request(path, { method: "POST", headers, body: JSON.stringify(body) });
    return (await response.json()) as { id: string };
  };
  const { id: conversation } = await post("/v1/conversations", {});
  await post("/v1/responses", { input: "hi there", conversation });
  return { services, app, conversation };
}

function judgeReply({ response, text }: { response: Response; text: string }, services: FakeServices): Verdict {
  const [reported] = services.reported;
  if (reported !== undefined) {
    services.reported.length = 0;
    throw reported;
  }
  if (response.status === 200) {
    if (!response.headers.get("content-type")?.startsWith("text/event-stream")) JSON.parse(text);
    else mustBe(text.endsWith("\n\n") && !text.includes("event: error"), `its stream ends in ${text.slice(-200)}`);
    return "accepted";
  }
  mustBe(
    [400, 404, 409, 413, 415].includes(response.status),
    `the status is ${response.status}: ${text.slice(0, 500)}`,
  );
  const { error } = errorBody.strict().parse(JSON.parse(text));
  mustBe(error.message.length > 10 && error.message.length <= 1000, `the sentence is ${error.message.slice(0, 2000)}`);
  mustBe((error.param ?? "").length <= 300, `the parameter is ${error.param?.slice(0, 2000)}`);
  return "refused";
}

// -- queries

interface Query {
  readonly path: string;
  readonly query: string;
}

const names = [
  "stream",
  "starting_after",
  "include",
  "include[]",
  "include_obfuscation",
  "after",
  "limit",
  "order",
  "x",
  "__proto__",
  "stream[]",
  "",
];
const values = [
  "true",
  "false",
  "0",
  "1",
  "20",
  "101",
  "-1",
  "1e3",
  "0x1",
  " 1",
  "00",
  "9007199254740993",
  "desc",
  "asc",
  "message.output_text.logprobs",
  "null",
  "resp_x",
  "%",
  "%ff",
  "%00",
  "",
];
const pair = fc.tuple(
  fc.oneof(fc.constantFrom(...names), fc.string({ unit: "binary", maxLength: 8 }).map(written)),
  fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...values) },
    { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 300 }).map(written) },
  ),
);
const queries: fc.Arbitrary<Query> = fc.record({
  path: fc.constantFrom(
    "/v1/conversations",
    "/v1/responses/resp_x",
    "/v1/conversations/conv_x/items",
    "/v1/models",
    "/v1/usage",
  ),
  query: fc
    .array(pair, { maxLength: 5 })
    .map((pairs) => (pairs.length === 0 ? "" : `?${pairs.map(([name, value]) => `${name}=${value}`).join("&")}`)),
});

function written(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}

// -- starting_after

/** Numbers in every spelling, on a response with some events. */
const places = fc.oneof(
  fc.nat(20).map(String),
  fc.constantFrom(...values, "1.0", "+1", "１", "999999999999999", "1000000000000000"),
  fc.string({ unit: "binary", maxLength: 20 }),
);

let begun: Promise<{
  app: ReturnType<typeof createApp>;
  services: FakeServices;
  path: string;
  all: readonly string[];
}> | null = null;

async function begin() {
  const services = new FakeServices();
  const app = createApp(services);
  const headers = { authorization: "Bearer sk-alice", "content-type": "application/json" };
  const made = await app.request("/v1/responses", {
    method: "POST",
    headers,
    body: JSON.stringify({ input: "one two three", store: true }),
  });
  const path = `/v1/responses/${((await made.json()) as { id: string }).id}`;
  const all = blocks(await (await app.request(`${path}?stream=true`, { headers })).text());
  return { app, services, path, all };
}

const blocks = (text: string): string[] => text.split("\n\n").filter((block) => block.includes("sequence_number"));

/** Whatever comes back is the end of the whole stream, behind the number that was asked for. */
async function judgeResume(place: string): Promise<Verdict> {
  begun ??= begin();
  const { app, services, path, all } = await begun;
  const response = await app.request(`${path}?stream=true&starting_after=${written(place)}`, {
    headers: { authorization: "Bearer sk-alice" },
  });
  const text = await response.text();
  const verdict = judgeReply({ response, text }, services);
  if (verdict === "refused") return verdict;
  const expected = all.slice(Math.min(all.length, Number(place) + 1));
  const found = blocks(text);
  mustBe(
    /^\d+$/.test(place) && found.join() === expected.join(),
    `behind ${place} come ${found.length} events of ${all.length}`,
  );
  return verdict;
}
