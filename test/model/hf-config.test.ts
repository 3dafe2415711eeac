/** Does a Hugging Face config.json mean the model that it describes, in every dialect, and is what we can't do refused? */

import { describe, expect, test } from "vitest";
import { ConfigError } from "../../shared/errors.ts";
import type { ModelConfig } from "../../shared/model/config.ts";
import { parseHfConfig } from "../../shared/model/hf-config.ts";
import { recurrentGemma2B, recurrentGemma9B } from "../../shared/model/presets.ts";

/** recurrentgemma-2b: `_block_types`, and the embedding scale spelt out. */
const hf2B = {
  _block_types: ["recurrent", "recurrent", "attention"],
  architectures: ["RecurrentGemmaForCausalLM"],
  attention_bias: false,
  attention_dropout: 0.0,
  attention_window_size: 2048,
  bos_token_id: 2,
  conv1d_width: 4,
  embeddings_scale_by_sqrt_dim: true,
  eos_token_id: 1,
  final_w_init_variance_scale: 0.07692307692307693,
  head_dim: 256,
  hidden_activation: "gelu_pytorch_tanh",
  hidden_size: 2560,
  intermediate_size: 15360,
  logits_soft_cap: 30.0,
  lru_width: 2560,
  model_type: "recurrent_gemma",
  num_attention_heads: 10,
  num_hidden_layers: 26,
  num_key_value_heads: 1,
  pad_token_id: 0,
  partial_rotary_factor: 0.5,
  rms_norm_eps: 1e-6,
  rope_theta: 10000.0,
  torch_dtype: "bfloat16",
  use_cache: true,
  vocab_size: 256000,
  w_init_variance_scale: 0.01,
};

/** recurrentgemma-9b: `block_types`, and no embedding scale. */
const hf9B = {
  architectures: ["RecurrentGemmaForCausalLM"],
  attention_bias: false,
  attention_dropout: 0.0,
  attention_window_size: 2048,
  block_types: ["recurrent", "recurrent", "attention"],
  bos_token_id: 2,
  conv1d_width: 4,
  eos_token_id: 1,
  final_w_init_variance_scale: 0.05263157894736842,
  head_dim: 256,
  hidden_activation: "gelu_pytorch_tanh",
  hidden_size: 4096,
  intermediate_size: 24576,
  logits_soft_cap: 30.0,
  lru_width: 4096,
  model_type: "recurrent_gemma",
  num_attention_heads: 16,
  num_hidden_layers: 38,
  num_key_value_heads: 1,
  pad_token_id: 0,
  partial_rotary_factor: 0.5,
  rms_norm_eps: 1e-6,
  rope_theta: 10000.0,
  torch_dtype: "bfloat16",
  use_cache: true,
  vocab_size: 256000,
  w_init_variance_scale: 0.01,
};

test("the 2B file is the 2B preset", () => {
  expect(parseHfConfig(hf2B)).toStrictEqual(recurrentGemma2B);
});

test("the 9B file is the 9B preset", () => {
  expect(parseHfConfig(hf9B)).toStrictEqual(recurrentGemma9B);
});

test("26 = 8 · 3 + 2 blocks: the pattern goes on where the file's list ends, and is cut off", () => {
  const { mixers } = parseHfConfig(hf2B);
  expect(mixers).toHaveLength(26);
  expect(mixers.filter((kind) => kind === "local-attention")).toHaveLength(8);
  expect(mixers.slice(24)).toStrictEqual(["rg-lru", "rg-lru"]);
  expect(parseHfConfig(hf9B).mixers.filter((kind) => kind === "local-attention")).toHaveLength(12);
});

const without = <Key extends keyof typeof hf2B>(...keys: Key[]) =>
  Object.fromEntries(Object.entries(hf2B).filter(([key]) => !keys.includes(key as Key)));

/** A change to the 2B file, and what it changes of the 2B preset. */
const changes: [story: string, file: Record<string, unknown>, model: Partial<ModelConfig>][] = [
  ["no lru_width is hidden_size", without("lru_width"), {}],
  ["a null lru_width is hidden_size", { ...hf2B, lru_width: null }, {}],
  ["an lru_width of its own", { ...hf2B, lru_width: 2600 }, { lruWidth: 2600 }],
  ["no key/value heads is one per query head", without("num_key_value_heads"), { kvHeads: 10 }],
  ["null key/value heads too", { ...hf2B, num_key_value_heads: null }, { kvHeads: 10 }],
  ["two key/value heads", { ...hf2B, num_key_value_heads: 2 }, { kvHeads: 2 }],
  ["no head_dim is hidden_size / heads", without("head_dim"), {}],
  ["a head_dim of its own", { ...hf2B, head_dim: 128 }, { headDim: 128 }],
  ["no soft cap", { ...hf2B, logits_soft_cap: 0 }, { logitSoftCap: 0 }],
  ["a null soft cap", { ...hf2B, logits_soft_cap: null }, { logitSoftCap: 0 }],
  ["no word of a soft cap", without("logits_soft_cap"), { logitSoftCap: 0 }],
  ["no word of an embedding scale", without("embeddings_scale_by_sqrt_dim"), {}],
  ["no embedding scale", { ...hf2B, embeddings_scale_by_sqrt_dim: false }, { embeddingScale: "none" }],
  ["silu", { ...hf2B, hidden_activation: "silu" }, { activation: "silu" }],
  ["untied", { ...hf2B, tie_word_embeddings: false }, { tiedEmbeddings: false }],
  ["said to be tied", { ...hf2B, tie_word_embeddings: true }, {}],
  ["no block types is two recurrent, one attention", without("_block_types"), {}],
  ["block_types go before _block_types", { ...hf2B, block_types: ["recurrent"] }, { mixers: Array(26).fill("rg-lru") }],
  ["null block_types don't", { ...hf2B, block_types: null }, {}],
  ["more block types than blocks", { ...hf2B, num_hidden_layers: 1 }, { mixers: ["rg-lru"] }],
  ["two ids that end a generation", { ...hf2B, eos_token_id: [1, 107] }, { eosIds: [1, 107] }],
  ["one id twice", { ...hf2B, eos_token_id: [107, 107] }, { eosIds: [107] }],
  ["none that does", { ...hf2B, eos_token_id: [] }, { eosIds: [] }],
  [
    "transformers 5: rotation in rope_parameters",
    { ...without("rope_theta", "partial_rotary_factor"), rope_parameters: rope(20_000, 0.25) },
    { ropeTheta: 20_000, rotaryFraction: 0.25 },
  ],
  ["which go before the old fields", { ...hf2B, rope_parameters: rope(500, 1) }, { ropeTheta: 500, rotaryFraction: 1 }],
  ["unless they are null", { ...hf2B, rope_parameters: rope(null, null) }, {}],
  ["or say nothing", { ...hf2B, rope_parameters: {} }, {}],
  ["or are null as a whole", { ...hf2B, rope_parameters: null }, {}],
  ["no rotation", { ...hf2B, partial_rotary_factor: 0 }, { rotaryFraction: 0 }],
  [
    "the defaults",
    without("conv1d_width", "rms_norm_eps", "hidden_activation", "attention_bias", "bos_token_id", "eos_token_id", "pad_token_id", "rope_theta", "partial_rotary_factor"), // biome-ignore format: a list
    {},
  ],
  [
    "fields that we don't know",
    { ...hf2B, ["__proto__"]: { vocab_size: 1 }, constructor: 1, quantization_config: {} },
    {},
  ],
];

function rope(rope_theta: number | null, partial_rotary_factor: number | null) {
  return { rope_type: "default", rope_theta, partial_rotary_factor };
}

describe("what a file may say differently", () => {
  test.each(changes)("%s", (_, file, model) => {
    expect(parseHfConfig(JSON.parse(JSON.stringify(file)))).toStrictEqual({ ...recurrentGemma2B, ...model });
  });

  test("the caller decides the window: DeepMind's 2049 keys or Hugging Face's 2048", () => {
    expect(parseHfConfig(hf2B, { window: "deepmind" })).toStrictEqual(recurrentGemma2B);
    expect(parseHfConfig(hf2B, { window: "hf" })).toStrictEqual({ ...recurrentGemma2B, windowKeys: 2048 });
  });

  test("ids from generation_config.json come after the file's own, each once", () => {
    const eosIds = (own: unknown, moreEosIds: number[]) =>
      parseHfConfig({ ...hf2B, eos_token_id: own }, { moreEosIds }).eosIds;
    expect(eosIds(1, [])).toStrictEqual([1]);
    expect(eosIds(1, [107, 1])).toStrictEqual([1, 107]);
    expect(eosIds([107, 1], [1, 2])).toStrictEqual([107, 1, 2]);
  });
});

// biome-ignore format: a table
const refusals: [story: string, lies: Record<string, unknown>, sentence: string][] = [
  ["another architecture", { model_type: "gemma" }, 'config.json: model_type: Invalid input: expected "recurrent_gemma", found "gemma"'],
  ["an odd intermediate_size", { intermediate_size: 15361 }, "config.json: intermediate_size is twice the width of one MLP branch and must be even, found 15361"],
  ["a bias in attention", { attention_bias: true }, "config.json: attention_bias: Invalid input: expected false, found true"],
  ["an unknown activation", { hidden_activation: "relu" }, 'config.json: hidden_activation must be one of gelu_pytorch_tanh, silu, found "relu"'],
  // Looked up in an object, these were functions: they became the model's activation.
  ["an activation that objects inherit", { hidden_activation: "constructor" }, 'config.json: hidden_activation must be one of gelu_pytorch_tanh, silu, found "constructor"'],
  ["another one", { hidden_activation: "__proto__" }, 'config.json: hidden_activation must be one of gelu_pytorch_tanh, silu, found "__proto__"'],
  ["another RoPE", { rope_parameters: { rope_type: "yarn" } }, 'config.json: rope_parameters.rope_type: Invalid input: expected "default", found "yarn"'],
  ["another block", { block_types: ["recurrent", "mamba"] }, 'config.json: block_types.1: Invalid option: expected one of "recurrent"|"attention", found "mamba"'],
  ["no block type", { block_types: [] }, "config.json: block_types: Too small: expected array to have >=1 items, found []"],
  ["no width", { hidden_size: undefined }, "config.json: hidden_size: Invalid input: expected number, received undefined, found nothing"],
  ["a width that is a word", { hidden_size: "2560" }, 'config.json: hidden_size: Invalid input: expected number, received string, found "2560"'],
  // As JSON, which has no word for it, 1e400 was shown as null.
  ["an infinite width", { hidden_size: Number.POSITIVE_INFINITY }, "config.json: hidden_size: Invalid input: expected number, received Infinity, found Infinity"],
  ["an id that is a word", { eos_token_id: "</s>" }, 'config.json: eos_token_id: must be a token id or a list of up to 64, found "</s>"'],
  ["an id beyond the vocabulary", { eos_token_id: [1, 256_000] }, "config: eosIds must be a token id below vocabSize = 256000, found 256000"],
  ["heads that don't divide the width", { num_attention_heads: 7, head_dim: null }, "config.json: num_attention_heads must divide hidden_size = 2560 where head_dim is not given, found 7"],
  ["heads that don't divide the recurrence", { num_attention_heads: 7 }, "config: gateBlocks must divide lruWidth = 2560, found 7"],
  ["key/value heads that don't divide the heads", { num_key_value_heads: 3 }, "config: kvHeads must divide heads = 10, found 3"],
  ["an odd number of rotated dimensions", { partial_rotary_factor: 0.01 * 1.2 }, "config: rotaryFraction must pick an even number of the 256 dimensions of a head, found 0.012 (3 dimensions)"],
  ["more rotated dimensions than there are", { partial_rotary_factor: 2 }, "config: rotaryFraction must pick an even number of the 256 dimensions of a head, found 2 (512 dimensions)"],
  ["a negative soft cap", { logits_soft_cap: -30 }, "config: logitSoftCap must be 0 (none) or positive, found -30"],
  ["no epsilon", { rms_norm_eps: 0 }, "config: normEps must be positive, found 0"],
  ["a billion blocks", { num_hidden_layers: 1e9 }, "config.json: num_hidden_layers may be at most 1024, found 1000000000"],
  ["a vocabulary beyond 2²⁴", { vocab_size: 2 ** 24 + 1 }, "config: vocabSize must be a whole number from 1 to 16777216, found 16777217"],
];

describe("what is refused", () => {
  test.each(refusals)("%s", (_, lies, sentence) => {
    const parse = () => parseHfConfig({ ...hf2B, ...lies });
    expect(parse).toThrow(ConfigError);
    expect(parse).toThrow(sentence);
  });

  test.each([null, 1, "config", [], [hf2B]])("a whole file that is %j", (json) => {
    expect(() => parseHfConfig(json)).toThrow(/^config\.json: the whole file: Invalid input: expected object/);
  });
});
