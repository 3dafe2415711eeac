/** What a fixed-state model is, as data: every number the engine needs, checked once, and what follows from them. */

import { bf16ToF32, f32ToBf16 } from "../backend/dtype.ts";
import { ConfigError } from "../errors.ts";

/** How one block mixes along time: a gated linear recurrence, or attention over the last keys. */
export type MixerKind = "rg-lru" | "local-attention";

/** The gate's non-linearity, in the MLP and on the recurrent block's `y` branch. */
export type Activation = "gelu-tanh" | "silu";

/**
 * What the input embedding is multiplied by. RecurrentGemma rounds √width to bfloat16 ("to match training"):
 * 50.5 instead of 50.596 at width 2560. The output logits always use the unscaled embedding.
 */
export type EmbeddingScale = "bf16-sqrt-width" | "sqrt-width" | "none";

/** A model is data. Letters in brackets are those of `docs/notation.md`. */
export interface ModelConfig {
  /** Rows of the embedding table and length of the logits [V]. */
  readonly vocabSize: number;
  /** Width of the residual stream [D]. */
  readonly width: number;
  /** Width of ONE branch of the gated MLP [F]; Hugging Face's `intermediate_size` is twice this. */
  readonly mlpWidth: number;
  /** The temporal mixer of each block, first to last; its length is the number of blocks. */
  readonly mixers: readonly MixerKind[];
  /** Query heads of local attention [H]. */
  readonly heads: number;
  /** Key/value heads [G]; divides `heads`. 1 is multi-query attention. */
  readonly kvHeads: number;
  /** Width of one attention head [K]; even after the rotary part is taken. */
  readonly headDim: number;
  /** Width of the recurrence [E]; need not equal `width`. */
  readonly lruWidth: number;
  /** Blocks of the RG-LRU's block-diagonal gates [B]; divides `lruWidth`. Hugging Face ties it to `heads`. */
  readonly gateBlocks: number;
  /** Taps of the causal depthwise convolution. */
  readonly convWidth: number;
  /** Rows of the attention ring: earlier keys and values that are kept [W]. */
  readonly windowSize: number;
  /** Keys a query sees, itself included: `windowSize + 1` in DeepMind's code, `windowSize` in Hugging Face's. */
  readonly windowKeys: number;
  /** Base of the rotary frequencies. */
  readonly ropeTheta: number;
  /** Share of a head's dimensions that is rotated, from the first on; the rest passes through. */
  readonly rotaryFraction: number;
  /** Logits become `cap · tanh(logits / cap)`; 0 means no cap. */
  readonly logitSoftCap: number;
  readonly embeddingScale: EmbeddingScale;
  readonly activation: Activation;
  /** Added to the mean square in RMSNorm. */
  readonly normEps: number;
  /** Whether the output matrix is the embedding itself. If not, the checkpoint stores `lm_head.weight`. */
  readonly tiedEmbeddings: boolean;
  readonly bosId: number;
  readonly padId: number;
  /** Ids that end a generation; chat models add their end-of-turn id. */
  readonly eosIds: readonly number[];
}

/** The share of dimensions that rotate, as a count; even, because they rotate in pairs. */
export const rotaryDims = (config: ModelConfig): number => Math.floor(config.headDim * config.rotaryFraction);

/** √width as the model was trained with it, or 1. */
export function embeddingScale(config: ModelConfig): number {
  switch (config.embeddingScale) {
    case "bf16-sqrt-width":
      return bf16ToF32(f32ToBf16(Math.sqrt(config.width)));
    case "sqrt-width":
      return Math.sqrt(config.width);
    case "none":
      return 1;
    default:
      return config.embeddingScale satisfies never;
  }
}

const MAX_WINDOW = 2 ** 17; // 64 times RecurrentGemma's

/** Throws a `ConfigError` that names the field unless the numbers fit together. Returns its argument. */
export function checkConfig(config: ModelConfig): ModelConfig {
  const counts = {
    vocabSize: config.vocabSize,
    width: config.width,
    mlpWidth: config.mlpWidth,
    heads: config.heads,
    kvHeads: config.kvHeads,
    headDim: config.headDim,
    lruWidth: config.lruWidth,
    gateBlocks: config.gateBlocks,
    convWidth: config.convWidth,
    windowSize: config.windowSize,
    windowKeys: config.windowKeys,
  };
  for (const [name, found] of Object.entries(counts)) {
    // 2²⁴ leaves every product of two of them an exact integer, and is far above any model of this family.
    if (!Number.isInteger(found) || found < 1 || found > 2 ** 24)
      throw new ConfigError(`config: ${name} must be a whole number from 1 to 16777216, found ${found}`);
  }
  if (config.mixers.length < 1 || config.mixers.length > 1024)
    throw new ConfigError(`config: a model has 1 to 1024 blocks, found ${config.mixers.length}`);
  mustDivide("heads", config.heads, "kvHeads", config.kvHeads);
  mustDivide("lruWidth", config.lruWidth, "gateBlocks", config.gateBlocks);
  const rotated = rotaryDims(config);
  if (!(config.rotaryFraction >= 0 && config.rotaryFraction <= 1) || rotated % 2 !== 0)
    throw new ConfigError(
      `config: rotaryFraction must pick an even number of the ${config.headDim} dimensions of a head, found ${config.rotaryFraction} (${rotated} dimensions)`,
    );
  // No tensor pins the window's length, and every conversation pays for it.
  if (config.windowSize > MAX_WINDOW)
    throw new ConfigError(`config: windowSize may be at most ${MAX_WINDOW}, found ${config.windowSize}`);
  if (config.windowKeys > config.windowSize + 1)
    throw new ConfigError(
      `config: windowKeys may be at most windowSize + 1 = ${config.windowSize + 1}, found ${config.windowKeys}`,
    );
  mustBePositive("ropeTheta", config.ropeTheta);
  mustBePositive("normEps", config.normEps);
  if (!(config.logitSoftCap >= 0 && config.logitSoftCap < Number.POSITIVE_INFINITY))
    throw new ConfigError(`config: logitSoftCap must be 0 (none) or positive, found ${config.logitSoftCap}`);
  for (const [name, id] of [
    ["bosId", config.bosId],
    ["padId", config.padId],
    ...config.eosIds.map((id) => ["eosIds", id]),
  ]) {
    if (!Number.isInteger(id) || Number(id) < 0 || Number(id) >= config.vocabSize)
      throw new ConfigError(`config: ${name} must be a token id below vocabSize = ${config.vocabSize}, found ${id}`);
  }
  return config;
}

function mustDivide(name: string, value: number, partName: string, part: number): void {
  if (value % part !== 0) throw new ConfigError(`config: ${partName} must divide ${name} = ${value}, found ${part}`);
}

function mustBePositive(name: string, found: number): void {
  if (!(found > 0 && found < Number.POSITIVE_INFINITY))
    throw new ConfigError(`config: ${name} must be positive, found ${found}`);
}
