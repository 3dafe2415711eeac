/** Models known by name: Google's two, and the shapes that benches use. */

import type { MixerKind, ModelConfig } from "./config.ts";

/** (rec, rec, attn) repeated and cut off after `blocks`, as in Griffin and RecurrentGemma. */
export function griffinPattern(blocks: number): MixerKind[] {
  return Array.from({ length: blocks }, (_, block) => (block % 3 === 2 ? "local-attention" : "rg-lru"));
}

const common = {
  kvHeads: 1,
  convWidth: 4,
  ropeTheta: 10_000,
  rotaryFraction: 0.5,
  logitSoftCap: 30,
  embeddingScale: "bf16-sqrt-width",
  activation: "gelu-tanh",
  normEps: 1e-6,
  tiedEmbeddings: true,
  bosId: 2,
  padId: 0,
  eosIds: [1],
} as const satisfies Partial<ModelConfig>;

export const recurrentGemma2B = {
  ...common,
  vocabSize: 256_000,
  width: 2560,
  mlpWidth: 3 * 2560,
  mixers: griffinPattern(26),
  heads: 10,
  headDim: 256,
  lruWidth: 2560,
  gateBlocks: 10,
  windowSize: 2048,
  windowKeys: 2049,
} as const satisfies ModelConfig;

export const recurrentGemma9B = {
  ...common,
  vocabSize: 256_000,
  width: 4096,
  mlpWidth: 3 * 4096,
  mixers: griffinPattern(38),
  heads: 16,
  headDim: 256,
  lruWidth: 4096,
  gateBlocks: 16,
  windowSize: 2048,
  windowKeys: 2049,
} as const satisfies ModelConfig;

/** Griffin's 100M-class row (Griffin paper, table 5: width 768, recurrence 1024, 12 blocks) with a 32 k vocabulary. */
export const griffin115M = {
  ...common,
  vocabSize: 32_000,
  width: 768,
  mlpWidth: 3 * 768,
  mixers: griffinPattern(12),
  heads: 6,
  headDim: 128,
  lruWidth: 1024,
  gateBlocks: 8,
  windowSize: 1024,
  windowKeys: 1025,
} as const satisfies ModelConfig;

/** Griffin's 400M-class row: width 1536, recurrence 2048, 12 blocks. */
export const griffin400M = {
  ...common,
  vocabSize: 32_000,
  width: 1536,
  mlpWidth: 3 * 1536,
  mixers: griffinPattern(12),
  heads: 12,
  headDim: 128,
  lruWidth: 2048,
  gateBlocks: 16,
  windowSize: 1024,
  windowKeys: 1025,
} as const satisfies ModelConfig;

/** By the names that `--shape` takes. */
export const presets = {
  "115m": griffin115M,
  "400m": griffin400M,
  "2b": recurrentGemma2B,
  "9b": recurrentGemma9B,
} as const satisfies Record<string, ModelConfig>;
