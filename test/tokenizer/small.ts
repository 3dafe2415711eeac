/** Tokenizers small enough to read, for tests of what files may say. */

export const smallMerges = ["h e", "l l", "he ll", "hell o", "▁ w", "o r", "▁w or", "l d", "▁wor ld"];

type Fields = Record<string, unknown>;

/** SentencePiece's style, as in Gemma's files: ▁ for a space, bytes for unknown characters. The arguments replace fields. */
export function smallJson(top: Fields = {}, model: Fields = {}, vocab: Fields = {}) {
  const pieces = [
    ...["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>", "\n\n", "<b>"],
    ...Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`),
    ..."abcdefghijklmnopqrstuvwxyz<>/▁\n",
    ...smallMerges.map((merge) => merge.replace(" ", "")),
  ];
  return {
    version: "1.0",
    added_tokens: pieces.slice(0, 8).map((content, id) => ({ id, content, special: id < 6, normalized: false })),
    normalizer: { type: "Replace", pattern: { String: " " }, content: "▁" },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
      ],
    },
    model: {
      type: "BPE",
      unk_token: "<unk>",
      fuse_unk: true,
      byte_fallback: true,
      vocab: { ...Object.fromEntries(pieces.map((piece, id) => [piece, id])), ...vocab },
      merges: smallMerges,
      ...model,
    },
    ...top,
  };
}

/** GPT-2's table of visible characters for bytes, written out the other way than the code under test builds it. */
export const byteChars = Array.from({ length: 256 }, (_, byte) => {
  if (byte < 0x21) return String.fromCharCode(0x100 + byte);
  if (byte < 0x7f) return String.fromCharCode(byte);
  if (byte < 0xa1) return String.fromCharCode(0x121 + byte - 0x7f);
  return byte === 0xad ? String.fromCharCode(0x143) : String.fromCharCode(byte);
});

/** Llama 3's style: pieces over bytes, a pattern that cuts words, control tokens after the vocabulary. */
export function byteLevelJson(model: Fields = {}) {
  const merges: [string, string][] = [
    ["h", "e"],
    ["l", "l"],
    ["he", "ll"],
    ["Ġ", "w"],
    ["Ã", "©"],
    ["Ġ", "Ġ"],
    ["1", "2"],
  ];
  const pieces = [...byteChars, ...merges.map((pair) => pair.join("")), "hello"];
  const special = (id: number, content: string) => ({ id, content, special: true, normalized: false });
  return {
    added_tokens: [
      special(pieces.length, "<|begin_of_text|>"),
      special(pieces.length + 1, "<|eot_id|>"),
      { id: pieces.length + 2, content: "<think>", special: false, normalized: false },
      { id: pieces.length + 3, content: "é é", special: false, normalized: true },
    ],
    normalizer: null,
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        {
          type: "Split",
          pattern: {
            Regex:
              "(?i:'s|'t)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s+(?!\\S)|\\s+",
          },
          behavior: "Isolated",
          invert: false,
        },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
      ],
    },
    post_processor: {
      type: "Sequence",
      processors: [
        { type: "ByteLevel" },
        {
          type: "TemplateProcessing",
          single: [{ SpecialToken: { id: "<|begin_of_text|>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
          pair: [],
          special_tokens: {
            "<|begin_of_text|>": { id: "<|begin_of_text|>", ids: [pieces.length], tokens: ["<|begin_of_text|>"] },
          },
        },
      ],
    },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      ignore_merges: true,
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
      merges,
      ...model,
    },
  };
}
