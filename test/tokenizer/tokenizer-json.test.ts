/** Is a file that can't be used refused with a sentence that says why? */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TokenizerError } from "../../shared/errors.ts";
import { hashOf, MergeTable } from "../../shared/tokenizer/merge-table.ts";
import { parseTokenizer } from "../../shared/tokenizer/tokenizer.ts";
import { referenceTokenizer } from "./gemma.ts";
import { smallJson, smallMerges } from "./small.ts";

function refusal(json: unknown, config?: unknown): string {
  try {
    parseTokenizer(json, config);
  } catch (error) {
    expect(error).toBeInstanceOf(TokenizerError);
    return (error as Error).message;
  }
  return "accepted";
}

it("reads a small vocabulary as the library does", () => {
  const tokenizer = parseTokenizer(smallJson());
  const reference = referenceTokenizer(smallJson());
  const letters = fc.constantFrom(..."helowrdaé \n<b>/", "<b>", "\n\n", "hello", " world", "😀");
  fc.assert(
    fc.property(fc.array(letters, { maxLength: 20 }), (parts) => {
      const text = parts.join("");
      expect(tokenizer.encode(text)).toEqual(reference.encode(text, { add_special_tokens: false }).ids);
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    }),
    { numRuns: 1000 },
  );
});

describe("refuses", () => {
  it("what is no tokenizer at all", () => {
    for (const nothing of [null, 1, "{}", [], true]) {
      expect(() => parseTokenizer(nothing)).toThrow("tokenizer.json must be an object");
    }
    expect(() => parseTokenizer(undefined)).toThrow(TokenizerError);
    expect(() => parseTokenizer({})).toThrow("tokenizer.json: model must be an object");
    expect(() => parseTokenizer(smallJson(), [])).toThrow("tokenizer_config.json must be an object");
  });

  type Fields = Record<string, unknown>;
  const split = { type: "Split", pattern: { Regex: "(" }, behavior: "Isolated" };
  it.each<[message: string, top: Fields, model?: Fields, vocab?: Fields]>([
    ["model must be an object", { model: [] }],
    ['model.type is "Unigram"', {}, { type: "Unigram" }],
    ["model.vocab must be an object", {}, { vocab: ["a"] }],
    ["model.vocab is empty", {}, { vocab: {} }],
    ['"a" has the id -1', {}, {}, { a: -1 }],
    ['"a" has the id 1.5', {}, {}, { a: 1.5 }],
    ['"a" has the id "7"', {}, {}, { a: "7" }],
    ['"a" has the id 9007199254740991', {}, {}, { a: Number.MAX_SAFE_INTEGER }],
    ['"a" has the id 1048576', {}, {}, { a: 2 ** 20 }],
    ['the id 265 belongs to "b" and to "new"', {}, {}, { new: 265 }],
    ["model.merges must be a list", {}, { merges: {} }],
    ["model.merges[0] must be two pieces", {}, { merges: ["he"] }],
    ["model.merges[0] must be two pieces", {}, { merges: ["h e l"] }],
    ["model.merges[0] must be two pieces", {}, { merges: [["h", 1]] }],
    ["model.merges[0] must be two pieces", {}, { merges: [null] }],
    ['model.merges[1] joins "x" and "y"', {}, { merges: ["h e", "x y"] }],
    ["model.dropout", {}, { dropout: 0.1 }],
    ["model.end_of_word_suffix", {}, { end_of_word_suffix: "</w>" }],
    ['model.unk_token is "<none>"', {}, { unk_token: "<none>" }],
    ["added_tokens must be a list", { added_tokens: {} }],
    ["added_tokens[0] must be an object", { added_tokens: [null] }],
    ["content must be a string of 1 to 256", { added_tokens: [{ id: 0, content: "" }] }],
    ["content must be a string of 1 to 256", { added_tokens: [{ id: 0, content: "a".repeat(300) }] }],
    ['"<bos>" has two ids, 2 and 999', { added_tokens: [{ id: 999, content: "<bos>" }] }],
    ['the id 2 belongs to "<bos>"', { added_tokens: [{ id: 2, content: "<other>" }] }],
    ["single_word", { added_tokens: [{ id: 7, content: "<b>", single_word: true }] }],
    ["Unknown Normalizer type", { normalizer: { type: "Rot13" } }],
    ["normalizer must be an object", { normalizer: "NFC" }],
    ["Unknown PreTokenizer type", { pre_tokenizer: { type: "Magic" } }],
    ["normalizer or pre_tokenizer can't be read", { pre_tokenizer: split }],
  ])("%s", (message, top, model, vocab) => {
    expect(refusal(smallJson(top, model, vocab))).toContain(message);
  });

  const replace = (from: string) => ({ type: "Replace", pattern: { String: from }, content: "" });
  const sequence = (...decoders: unknown[]) => ({ type: "Sequence", decoders });
  it.each<[message: string, decoder: unknown]>([
    ["decoder must be an object", null],
    ["decoder must be an object", undefined],
    ["Metaspace that strips a first space", { type: "Metaspace", replacement: "▁", prepend_scheme: "always" }],
    ["WordPiece", { type: "WordPiece", prefix: "##" }],
    ["BPEDecoder", { type: "BPEDecoder", suffix: "</w>" }],
    ["CTC", { type: "CTC" }],
    ["Strip", sequence({ type: "Fuse" }, { type: "Strip", content: " ", start: 1, stop: 0 })],
    ["ByteFallback after Fuse", sequence({ type: "Fuse" }, { type: "ByteFallback" })],
    ["Replace with anything but", { type: "Replace", pattern: { Regex: "▁" }, content: " " }],
    ["Replace with anything but", { type: "Replace", pattern: null, content: " " }],
    ['Replace of "ab" after Fuse', sequence({ type: "Fuse" }, replace("ab"))],
    ["Replace next to ByteLevel", sequence({ type: "ByteLevel" }, replace("a"))],
    ["decoder.decoders must be a list", { type: "Sequence" }],
    ["decoder.type must be a string", {}],
    ["decoder.type must be a string", { type: { toString: null } }],
  ])("the decoder: %s", (message, decoder) => {
    expect(refusal(smallJson({ decoder }))).toContain(message);
  });

  it("a config that contradicts the vocabulary", () => {
    const withConfig = (config: unknown) => refusal(smallJson(), config);
    expect(withConfig({ bos_token: "<s>" })).toContain('bos_token is "<s>", which is not in the vocabulary');
    expect(withConfig({ eos_token: 7 })).toContain("eos_token is 7");
    expect(withConfig({ added_tokens_decoder: { x: { content: "<x>" } } })).toContain("<x>");
    expect(withConfig({ added_tokens_decoder: { 2: { content: "<x>" } } })).toContain("the id 2 belongs to");
  });

  it("whatever JSON holds, with an error and not a crash", () => {
    const fields = ["model", "decoder", "normalizer", "pre_tokenizer", "added_tokens", "post_processor"] as const;
    fc.assert(
      fc.property(fc.constantFrom(...fields), fc.jsonValue(), fc.jsonValue(), (field, value, config) => {
        try {
          parseTokenizer({ ...smallJson(), [field]: value }, config);
        } catch (error) {
          expect(error).toBeInstanceOf(TokenizerError);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe("accepts", () => {
  it("decoders that keep each piece's own text", () => {
    const replace = { type: "Replace", pattern: { String: "▁" }, content: " " };
    const text = "hello world é";
    for (const decoder of [
      { type: "Sequence", decoders: [{ type: "ByteFallback" }, replace, { type: "Fuse" }] },
      { type: "Sequence", decoders: [{ type: "Sequence", decoders: [replace] }, { type: "ByteFallback" }] },
    ]) {
      const tokenizer = parseTokenizer(smallJson({ decoder }));
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
    }
    for (const decoder of [replace, { type: "Metaspace", replacement: "▁", prepend_scheme: "never" }]) {
      const tokenizer = parseTokenizer(smallJson({ decoder }));
      expect(tokenizer.decode(tokenizer.encode(text))).toBe("hello world <0xC3><0xA9>");
    }
  });

  it("merges as pairs, a vocabulary with holes, and piece names that mean something to JavaScript", () => {
    const json = smallJson(
      {},
      { merges: smallMerges.map((merge) => merge.split(" ")) },
      JSON.parse('{"constructor": 700}'),
    );
    Object.defineProperty(json.model.vocab, "__proto__", { value: 800, enumerable: true });
    const tokenizer = parseTokenizer(json);
    expect(tokenizer.vocabSize).toBe(801);
    expect(["constructor", "__proto__", "toString"].map((piece) => tokenizer.idOf(piece))).toEqual([
      700,
      800,
      undefined,
    ]);
    expect(tokenizer.encode("hello world")).toEqual(parseTokenizer(smallJson()).encode("hello world"));
    expect(tokenizer.decode([650])).toBe("");
  });

  it("control tokens that only the config knows", () => {
    const plain = parseTokenizer(smallJson());
    expect(plain.encode("<b>")).toEqual([7]);
    for (const config of [
      { added_tokens_decoder: { 7: { content: "<b>", special: true } } },
      { additional_special_tokens: ["<b>"] },
      { eos_token: { content: "<b>" } },
    ]) {
      const tokenizer = parseTokenizer(smallJson(), config);
      expect(tokenizer.controlIds.has(7)).toBe(true);
      expect(tokenizer.encode("<b>")).toEqual([..."<b>"].map((char) => tokenizer.idOf(char)));
      expect(tokenizer.encodeTemplate("<b>")).toEqual([7]);
    }
    expect(parseTokenizer(smallJson(), { eos_token: null }).eosId).toBeUndefined();
    expect(plain.eosId).toBe(1);
  });
});

describe("no path leads from text to a control token", () => {
  const config = { additional_special_tokens: ["<b>", "z"] };

  it("not a merge", () => {
    const json = smallJson({}, { merges: [...smallMerges, "< b", "<b >"] }, { "<b": 400 });
    const tokenizer = parseTokenizer(json, config);
    expect(tokenizer.encode("<b>")).toEqual([400, tokenizer.idOf(">")]);
  });

  it("not a whole word, not a single character", () => {
    const tokenizer = parseTokenizer(smallJson({}, { ignore_merges: true }), config);
    expect(tokenizer.encode("<b>")).toEqual([..."<b>"].map((char) => tokenizer.idOf(char)));
    expect(tokenizer.encode("z")).toEqual([tokenizer.idOf("<0x7A>")]);
    expect(tokenizer.encode("<0x7A>")).not.toContain(tokenizer.idOf("<0x7A>"));
  });

  it("not a normaliser", () => {
    const tokenizer = parseTokenizer(smallJson({ normalizer: { type: "NFKC" } }));
    expect(tokenizer.encode("＜bos＞")).not.toContain(tokenizer.bosId);
  });
});

it("without byte pieces, one unknown token stands for a run of unknown characters", () => {
  const withModel = (model: object) => parseTokenizer(smallJson({}, { byte_fallback: false, ...model }));
  expect(withModel({}).encode("aéöb")).toEqual([264, 3, 265]);
  expect(withModel({ fuse_unk: false }).encode("aéöb")).toEqual([264, 3, 3, 265]);
  expect(withModel({ unk_token: null }).encode("aéöb")).toEqual([264, 265]);
});

it("trims around added tokens that ask for it, but never into another added token", () => {
  const strips = { id: 5, content: "<end_of_turn>", special: true, normalized: false, lstrip: true, rstrip: true };
  const added_tokens = [...smallJson().added_tokens.filter(({ id }) => id !== 5), strips];
  const tokenizer = parseTokenizer(smallJson({ added_tokens }));
  expect(tokenizer.encodeTemplate("a  <end_of_turn> \n b")).toEqual([264, 5, 265]);
  expect(tokenizer.encodeTemplate("a\n\n<end_of_turn>\n\n b")).toEqual([264, 6, 5, 6, tokenizer.idOf("▁"), 265]);
});

describe("MergeTable", () => {
  it("is a map from pairs to ranks in which the last entry of a pair counts", () => {
    const id = fc.integer({ min: 0, max: 12 });
    fc.assert(
      fc.property(fc.array(fc.tuple(id, id)), (pairs) => {
        const table = new MergeTable(pairs.length);
        const ranks = new Map<string, number>();
        for (const [rank, [left, right]] of pairs.entries()) {
          table.push(left, right, rank + 100);
          ranks.set(`${left} ${right}`, rank);
        }
        for (let left = 0; left <= 12; left++) {
          for (let right = 0; right <= 12; right++) {
            expect(table.rankOf(left, right)).toBe(ranks.get(`${left} ${right}`) ?? -1);
          }
        }
        for (const rank of ranks.values()) expect(table.merged(rank)).toBe(rank + 100);
      }),
    );
  });

  it("refuses a file whose merges all want the same slot, which would take for ever to look up", () => {
    const table = new MergeTable(2_000);
    const collide = () => {
      for (let right = 0; right < 20_000_000; right++) if ((hashOf(0, right) & 4095) === 0) table.push(0, right, 0);
    };
    expect(collide).toThrow("built to collide");
  });
});
