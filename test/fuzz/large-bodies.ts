/** Bodies at their bounds: as many bytes, messages, parts and members as there may be, one more, one less, and far too many. */

import fc from "fast-check";
import {
  MAX_ITEMS_PER_CALL,
  MAX_JSON_BYTES,
  MAX_JSON_ELEMENTS,
  MAX_JSON_MEMBERS,
  MAX_LOGIT_BIASES,
  MAX_MESSAGES,
  MAX_METADATA_PAIRS,
  MAX_METADATA_VALUE,
  MAX_PROMPT_TOKEN_IDS,
} from "../../shared/protocol/limits.ts";
import { nearby } from "./mutations.ts";

type Body = Readonly<Record<string, unknown>>;

const said = (content: unknown) => ({ role: "user", content });

/** A body with one text in it that makes it as long as a body may be, or a byte longer or shorter. */
const filled = (bodyOf: (text: string) => Body): fc.Arbitrary<Body> =>
  fc
    .tuple(fc.constantFrom("word ", "é ", '" ', "\u0001 ", "😀 ", "a\nb "), nearby(MAX_JSON_BYTES))
    .map(([unit, bytes]) => {
      const size = (text: string) => new TextEncoder().encode(JSON.stringify(bodyOf(text))).length;
      const empty = size("");
      const text = unit.repeat(Math.floor((bytes - empty) / (size(unit) - empty)));
      return bodyOf(text + "x".repeat(bytes - size(text)));
    });

const list = (count: number, of: (at: number) => unknown): unknown[] =>
  Array.from({ length: count }, (_, at) => of(at));

const members = (count: number, of: (at: number) => readonly [string, unknown]): Body =>
  Object.fromEntries(list(count, of) as [string, unknown][]);

/** Messages in turn, the last one the user's. */
const exchanges = (count: number, content: string) =>
  list(count, (at) => ({ role: (count - at) % 2 ? "user" : "assistant", content }));

/** Where lists and objects were expected, far more than there may be, of what may be none of theirs. */
const crowds: fc.Arbitrary<unknown> = fc.oneof(
  fc
    .tuple(
      fc.oneof(nearby(MAX_JSON_ELEMENTS), fc.integer({ min: 5000, max: 150_000 })),
      fc.constantFrom(0, null, "", {}, [], [1]),
    )
    .map(([count, element]) => list(count, () => element)),
  fc
    .tuple(fc.oneof(nearby(MAX_JSON_MEMBERS), fc.integer({ min: 1000, max: 60_000 })), fc.constantFrom(0, "", {}))
    .map(([count, member]) => members(count, (at) => [`k${at}`, member])),
);

const withCrowd = (names: readonly string[], body: Body): fc.Arbitrary<Body> =>
  fc.tuple(fc.constantFrom(...names), crowds).map(([name, crowd]) => ({ ...body, [name]: crowd }));

const metadata: fc.Arbitrary<Body> = fc
  .tuple(nearby(MAX_METADATA_PAIRS), nearby(MAX_METADATA_VALUE))
  .map(([pairs, length]) => ({ metadata: members(pairs, (at) => [`k${at}`, "v".repeat(length)]) }));

const items: fc.Arbitrary<Body> = fc.oneof(
  nearby(MAX_ITEMS_PER_CALL).map((count) => ({ items: exchanges(count, "word ".repeat(9000)) })),
  filled((text) => ({ items: [said(text)] })),
  withCrowd(["items", "metadata"], { items: [said("hi")] }),
);

export const largeBodies: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  "/v1/chat/completions": fc
    .tuple(
      fc.oneof(
        filled((text) => ({ messages: [said(text)] })),
        nearby(MAX_MESSAGES).map((count) => ({ messages: exchanges(count, "word ".repeat(40)) })),
        nearby(256).map((count) => ({
          messages: [said(list(count, () => ({ type: "text", text: "word ".repeat(700) })))],
        })),
        nearby(MAX_LOGIT_BIASES).map((count) => ({
          messages: [said("hi ".repeat(30_000))],
          logit_bias: members(count, (at) => [`${at}`, 1]),
        })),
        withCrowd(["messages", "stop", "logit_bias", "metadata", "tools", "x"], { messages: [said("hi")] }),
        crowds.map((crowd) => ({ messages: [said(crowd)] })),
        crowds.map((crowd) => ({ messages: [{ ...said("hi"), annotations: crowd }] })),
      ),
      fc.constantFrom({}, {}, { store: false }, { stream: true }),
    )
    .map(([body, more]) => ({ ...body, ...more })),
  "/v1/completions": fc.oneof(
    filled((text) => ({ prompt: text })),
    filled((text) => ({ prompt: ["a", text] })),
    nearby(MAX_PROMPT_TOKEN_IDS).map((count) => ({ prompt: list(count, (at) => at % 1000) })),
    withCrowd(["prompt", "stop", "logit_bias", "x"], { prompt: "hi" }),
    crowds.map((crowd) => ({ prompt: [crowd] })),
  ),
  "/v1/responses": fc.oneof(
    filled((text) => ({ input: text })),
    filled((text) => ({ input: "hi", instructions: text })),
    nearby(MAX_MESSAGES).map((count) => ({ input: exchanges(count, "word ".repeat(40)) })),
    withCrowd(["input", "include", "metadata", "text", "x"], { input: "hi" }),
    crowds.map((crowd) => ({
      input: [{ ...said("hi"), content: [{ type: "output_text", text: "", logprobs: crowd }] }],
    })),
  ),
  "/v1/tokenize": filled((text) => ({ text })),
  "/v1/detokenize": fc.oneof(
    nearby(MAX_PROMPT_TOKEN_IDS).map((count) => ({ tokens: list(count, (at) => at % 200) })),
    withCrowd(["tokens"], {}),
  ),
  "/v1/conversations/:conversation": fc.oneof(metadata, withCrowd(["metadata"], {})),
  "/v1/conversations/:conversation/items": items,
  "/v1/conversations/:conversation/fork": fc.oneof(metadata, withCrowd(["metadata", "response_id"], {})),
  "/v1/conversations": fc.oneof(items, metadata),
};
