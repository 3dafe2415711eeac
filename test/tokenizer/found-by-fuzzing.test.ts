/** What `npm run test:fuzz` found in tokenizer.json's readers, each with the smallest file that showed it. */

import { describe, expect, test, vi } from "vitest";
import { TokenizerError } from "../../shared/errors.ts";
import { parseTokenizer } from "../../shared/tokenizer/tokenizer.ts";
import { byteLevelJson, smallJson } from "./small.ts";

function refusal(json: unknown): string {
  try {
    parseTokenizer(json);
  } catch (error) {
    if (!(error instanceof TokenizerError)) throw error;
    return error.message;
  }
  return "it was accepted";
}

describe("a normalizer or pre_tokenizer", () => {
  const split = (change: object) => ({
    type: "Split",
    pattern: { String: " " },
    behavior: "Isolated",
    invert: false,
    ...change,
  });

  // It was read without a word, and the first user's text ended in a TypeError: a 500 for every request.
  test("whose fields only fail on a text is refused when the model is loaded", () => {
    const pre_tokenizer = split({ behavior: -1 });
    expect(refusal({ ...byteLevelJson(), pre_tokenizer })).toContain("pre_tokenizer fails on a plain text");
  });

  // The library said so on the console, ignored the step, and every text was encoded as another model's.
  test.each([
    ["normalizer.pattern", { normalizer: { type: "Replace", pattern: { Other: " " }, content: "▁" } }],
    ["normalizer.pattern", { normalizer: { type: "Replace", content: "▁" } }],
    [
      "pre_tokenizer.pretokenizers[0].pattern",
      { pre_tokenizer: { type: "Sequence", pretokenizers: [split({ pattern: {} })] } },
    ],
  ])("with a pattern that nobody knows is refused: %s", (where, change) => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
    expect(refusal(smallJson(change))).toBe(`tokenizer.json: ${where} must be a String or a Regex`);
    expect(warn).not.toHaveBeenCalled();
    warn.mockRestore();
  });

  // The sentence was "Unknown Normalizer type: [object Object]".
  test("with a type that is no text is refused by the field's name", () => {
    expect(refusal(smallJson({ normalizer: { type: {} } }))).toBe("tokenizer.json: normalizer.type must be a string");
  });

  // Each level was a call of the library's: a file of 60 levels passes the JSON reader's own bound.
  test("that nests without end is refused", () => {
    let normalizer: object = { type: "NFC" };
    for (let depth = 0; depth < 30; depth++) normalizer = { type: "Sequence", normalizers: [normalizer] };
    expect(refusal(smallJson({ normalizer }))).toContain("nests deeper than 8 levels");
  });
});

// A decoder's type that can't be made a text was a TypeError out of the reader itself.
test("a decoder with a type that is no text is refused", () => {
  expect(refusal(smallJson({ decoder: { type: { toString: null } } }))).toBe(
    "tokenizer.json: decoder.type must be a string",
  );
});

// The sentence quoted the whole of what stood there: megabytes, where a vocabulary did.
test("a model's type is quoted in part", () => {
  const message = refusal(smallJson({}, { type: { pieces: Array.from({ length: 10_000 }, (_, id) => id) } }));
  expect(message).toMatch(/^tokenizer\.json: model\.type is .*…; Aerie reads BPE$/);
  expect(message.length).toBeLessThan(200);
});
