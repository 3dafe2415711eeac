/** Reads Hugging Face's `config.json` of a RecurrentGemma model: its field names, its two dialects and its traps. */

import { z } from "zod";
import { ConfigError } from "../errors.ts";
import { type Activation, checkConfig, type MixerKind, type ModelConfig } from "./config.ts";

/** What a caller may decide differently from the file. */
export interface HfConfigOptions {
  /** Which window a query sees: DeepMind's `attention_window_size + 1` keys (default) or Hugging Face's one less. */
  readonly window?: "deepmind" | "hf";
  /** Ids that end a generation besides `eos_token_id`, from `generation_config.json`. */
  readonly moreEosIds?: readonly number[];
}

const MAX_BLOCKS = 1024;

const count = z.int().min(1);
const tokenId = z.int().min(0);
// Limits on lists keep a wrong one from becoming an issue per item.
const blockTypes = z
  .array(z.enum(["recurrent", "attention"]))
  .min(1)
  .max(MAX_BLOCKS);

/** One id or a list, as in `config.json` and `generation_config.json`. */
export const eosTokenIds = z.union([tokenId, z.array(tokenId).max(64)], "must be a token id or a list of up to 64");

// Only what the computation depends on; a checkpoint's config.json holds much else.
const hfConfig = z.object({
  model_type: z.literal("recurrent_gemma"),
  vocab_size: count,
  hidden_size: count,
  intermediate_size: count,
  num_hidden_layers: count,
  num_attention_heads: count,
  num_key_value_heads: count.nullish(), // absent means one per query head (HF's default), real files say 1
  head_dim: count.nullish(),
  lru_width: count.nullish(), // null means hidden_size
  attention_window_size: count,
  conv1d_width: count.default(4),
  logits_soft_cap: z.number().nullish(),
  rms_norm_eps: z.number().default(1e-6),
  hidden_activation: z.string().default("gelu_pytorch_tanh"),
  partial_rotary_factor: z.number().nullish(),
  rope_theta: z.number().nullish(),
  // Since transformers v5 both of the above live in here.
  rope_parameters: z
    .object({
      rope_type: z.literal("default").default("default"),
      rope_theta: z.number().nullish(),
      partial_rotary_factor: z.number().nullish(),
    })
    .nullish(),
  attention_bias: z.literal(false).default(false),
  block_types: blockTypes.nullish(), // the 9B files
  _block_types: blockTypes.nullish(), // the 2B files
  embeddings_scale_by_sqrt_dim: z.boolean().default(true),
  tie_word_embeddings: z.boolean().default(true),
  bos_token_id: tokenId.nullish().transform((id) => id ?? 2),
  eos_token_id: eosTokenIds.default(1),
  pad_token_id: tokenId.nullish().transform((id) => id ?? 0),
});

const activations = new Map<string, Activation>([
  ["gelu_pytorch_tanh", "gelu-tanh"],
  ["silu", "silu"],
]);

/** Throws a `ConfigError` that names the field, what it must be and what it is. */
export function parseHfConfig(json: unknown, options: HfConfigOptions = {}): ModelConfig {
  const parsed = hfConfig.safeParse(json);
  if (!parsed.success) throw fieldError(parsed.error, json);
  const hf = parsed.data;

  if (hf.num_hidden_layers > MAX_BLOCKS)
    throw new ConfigError(`config.json: num_hidden_layers may be at most ${MAX_BLOCKS}, found ${hf.num_hidden_layers}`);
  if (hf.intermediate_size % 2 !== 0)
    throw new ConfigError(
      `config.json: intermediate_size is twice the width of one MLP branch and must be even, found ${hf.intermediate_size}`,
    );
  const activation = activations.get(hf.hidden_activation);
  if (!activation)
    throw new ConfigError(
      `config.json: hidden_activation must be one of ${[...activations.keys()].join(", ")}, found ${show(hf.hidden_activation)}`,
    );
  const pattern = hf.block_types ?? hf._block_types ?? (["recurrent", "recurrent", "attention"] as const);
  const eosIds = [hf.eos_token_id].flat();

  return checkConfig({
    vocabSize: hf.vocab_size,
    width: hf.hidden_size,
    mlpWidth: hf.intermediate_size / 2,
    mixers: Array.from({ length: hf.num_hidden_layers }, (_, block) => mixerOf(pattern[block % pattern.length])),
    heads: hf.num_attention_heads,
    kvHeads: hf.num_key_value_heads ?? hf.num_attention_heads,
    headDim: hf.head_dim ?? wholeHeadDim(hf.hidden_size, hf.num_attention_heads),
    lruWidth: hf.lru_width ?? hf.hidden_size,
    gateBlocks: hf.num_attention_heads,
    convWidth: hf.conv1d_width,
    windowSize: hf.attention_window_size,
    windowKeys: options.window === "hf" ? hf.attention_window_size : hf.attention_window_size + 1,
    ropeTheta: hf.rope_parameters?.rope_theta ?? hf.rope_theta ?? 10_000,
    rotaryFraction: hf.rope_parameters?.partial_rotary_factor ?? hf.partial_rotary_factor ?? 0.5,
    logitSoftCap: hf.logits_soft_cap ?? 0,
    embeddingScale: hf.embeddings_scale_by_sqrt_dim ? "bf16-sqrt-width" : "none",
    activation,
    normEps: hf.rms_norm_eps,
    tiedEmbeddings: hf.tie_word_embeddings,
    bosId: hf.bos_token_id,
    padId: hf.pad_token_id,
    eosIds: [...new Set([...eosIds, ...(options.moreEosIds ?? [])])],
  });
}

function mixerOf(blockType: "recurrent" | "attention"): MixerKind {
  return blockType === "recurrent" ? "rg-lru" : "local-attention";
}

function wholeHeadDim(width: number, heads: number): number {
  if (width % heads !== 0)
    throw new ConfigError(
      `config.json: num_attention_heads must divide hidden_size = ${width} where head_dim is not given, found ${heads}`,
    );
  return width / heads;
}

function fieldError(error: z.ZodError, json: unknown): ConfigError {
  const issue = error.issues[0];
  const name = issue.path.join(".") || "the whole file";
  const found = issue.path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], json);
  return new ConfigError(`config.json: ${name}: ${issue.message}, found ${show(found)}`, { cause: error });
}

/** What the file holds, for a sentence. JSON can say 1e400, which is infinite and which it has no word for. */
function show(found: unknown): string {
  if (found === undefined) return "nothing";
  return (typeof found === "number" ? String(found) : JSON.stringify(found)).slice(0, 80);
}
