/** Is a byte-level vocabulary (Llama 3's kind) read as the library reads it? */

import fc from "fast-check";
import { expect, it } from "vitest";
import { TextStream } from "../../shared/tokenizer/text-stream.ts";
import { parseTokenizer } from "../../shared/tokenizer/tokenizer.ts";
import { referenceTokenizer } from "./gemma.ts";
import { byteLevelJson, smallJson } from "./small.ts";

const tokenizer = parseTokenizer(byteLevelJson());
const reference = referenceTokenizer(byteLevelJson());
const bos = tokenizer.idOf("<|begin_of_text|>")!;

const words = fc.constantFrom(
  "hello",
  "hell",
  " w",
  "  ",
  "é",
  "é é",
  "<think>",
  "123456",
  "\n\n",
  "'s",
  "日本",
  "👍🏽",
  "\ufeff",
);
const anyText = fc
  .array(fc.oneof(words, fc.string({ unit: "binary", maxLength: 6 })), { maxLength: 10 })
  .map((w) => w.join(""));

it("encodes as the library does, and decodes to the same text", () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const ids = tokenizer.encode(text);
      expect(ids).toEqual(reference.encode(text, { add_special_tokens: false }).ids);
      expect(tokenizer.decode(ids)).toBe(text);
      if (ids.length > 0) {
        expect(tokenizer.decode(ids)).toBe(
          reference.decode(ids, { skip_special_tokens: true, clean_up_tokenization_spaces: false }),
        );
      }
    }),
    { numRuns: 1000 },
  );
});

// What is no character takes three bytes of text for one of its own: a reply of them is thrice as long as its pieces.
it.each([
  ["bytes", byteLevelJson()],
  ["characters", smallJson()],
])("no text is longer than its tokens and the longest of them allow, in a vocabulary of %s", (_, json) => {
  const one = parseTokenizer(json);
  const lengthOf = (ids: readonly number[]) => new TextEncoder().encode(one.decode(ids)).length;
  const all = Array.from({ length: one.vocabSize }, (_, id) => id);
  expect(one.longestTextBytes).toBe(Math.max(...all.map((id) => lengthOf([id]))));
  const ids = fc.array(fc.constantFrom(...all), { maxLength: 20 });
  fc.assert(
    fc.property(ids, (some) => {
      expect(lengthOf(some)).toBeLessThanOrEqual(some.length * one.longestTextBytes);
    }),
  );
});

it("prefers a word that is a piece to its merges, if the file says so", () => {
  expect(tokenizer.encode("hello")).toEqual([tokenizer.idOf("hello")]);
  expect(parseTokenizer(byteLevelJson({ ignore_merges: false })).encode("hello")).toEqual([
    tokenizer.idOf("hell"),
    tokenizer.idOf("o"),
  ]);
});

it("begins texts with a BOS if the post-processor does, and never takes one from a user", () => {
  expect(tokenizer.bosId).toBe(bos);
  expect(tokenizer.encodeStart("<|begin_of_text|>")).toEqual([bos, ...tokenizer.encode("<|begin_of_text|>")]);
  expect(tokenizer.encode("<|begin_of_text|><|eot_id|>").filter((id) => tokenizer.controlIds.has(id))).toEqual([]);
  expect(parseTokenizer(byteLevelJson(), { add_bos_token: false }).encodeStart("a")).toEqual(tokenizer.encode("a"));
});

it("streams whole characters out of single bytes", () => {
  const everyId = fc.array(fc.integer({ min: 0, max: tokenizer.vocabSize - 1 }), { maxLength: 30 });
  fc.assert(
    fc.property(everyId, (ids) => {
      const stream = new TextStream(tokenizer);
      const parts = ids.map((id) => stream.push(id));
      expect(parts.every((part) => part.isWellFormed())).toBe(true);
      expect(parts.join("") + stream.end()).toBe(tokenizer.decode(ids));
    }),
    { numRuns: 1000 },
  );
});

it("gives an added token the bytes of its text, not of the byte table", () => {
  expect(tokenizer.pieceBytes(tokenizer.idOf("é é")!)).toEqual(new TextEncoder().encode("é é"));
});
