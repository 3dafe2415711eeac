/** Which tensors a checkpoint must have: a tree shaped like the model whose leaves say name, shape and role. */

import type { ModelConfig } from "./config.ts";
import type { BlockWeights, Linear, ModelWeights } from "./weight-tree.ts";

/**
 * What a tensor is used for; it decides how a loader prepares it and whether a packer may quantise it.
 * - `embedding` [V, D], rows are looked up and, when tied, multiplied for the logits
 * - `matrix` [out, in], used as `x · Wᵀ`
 * - `gate` [B, E/B in, E/B out], block-diagonal, used as `x_b · W_b`: in and out are the other way round than in `matrix`
 * - `conv` [E, 1, taps], the last tap meets the current token
 * - `decay` [E], Λ of the RG-LRU
 * - `norm` [D], stored zero-centred: the factor is `1 + w`
 * - `bias`
 */
export type WeightRole = "embedding" | "matrix" | "gate" | "conv" | "decay" | "norm" | "bias";

/** One tensor of a checkpoint, under its Hugging Face name and in its Hugging Face layout. */
export interface WeightSpec {
  readonly name: string;
  readonly shape: readonly number[];
  readonly role: WeightRole;
}

/** The tree of a model's tensors, derived from its config alone. */
export function weightTable(config: ModelConfig): ModelWeights<WeightSpec> {
  const { vocabSize, width } = config;
  return {
    embedding: { name: "model.embed_tokens.weight", shape: [vocabSize, width], role: "embedding" },
    blocks: config.mixers.map((_, block) => blockTable(config, block)),
    finalNorm: norm("model.final_norm", width),
    lmHead: config.tiedEmbeddings ? null : { name: "lm_head.weight", shape: [vocabSize, width], role: "matrix" },
  };
}

function blockTable(config: ModelConfig, block: number): BlockWeights<WeightSpec> {
  const { width, mlpWidth } = config;
  const at = `model.layers.${block}`;
  return {
    temporalNorm: norm(`${at}.temporal_pre_norm`, width),
    temporal: temporalTable(config, block, `${at}.temporal_block`),
    channelNorm: norm(`${at}.channel_pre_norm`, width),
    mlp: {
      gate: linear(`${at}.mlp_block.gate_proj`, mlpWidth, width),
      up: linear(`${at}.mlp_block.up_proj`, mlpWidth, width),
      down: linear(`${at}.mlp_block.down_proj`, width, mlpWidth),
    },
  };
}

function temporalTable(config: ModelConfig, block: number, at: string): BlockWeights<WeightSpec>["temporal"] {
  const { width, lruWidth, convWidth, heads, kvHeads, headDim } = config;
  const kind = config.mixers[block];
  switch (kind) {
    case "rg-lru":
      return {
        kind,
        linearY: linear(`${at}.linear_y`, lruWidth, width),
        linearX: linear(`${at}.linear_x`, lruWidth, width),
        conv: {
          weight: { name: `${at}.conv_1d.weight`, shape: [lruWidth, 1, convWidth], role: "conv" },
          bias: bias(`${at}.conv_1d.bias`, lruWidth),
        },
        inputGate: gate(config, `${at}.rg_lru.input_gate`),
        recurrenceGate: gate(config, `${at}.rg_lru.recurrent_gate`),
        decay: { name: `${at}.rg_lru.recurrent_param`, shape: [lruWidth], role: "decay" },
        linearOut: linear(`${at}.linear_out`, width, lruWidth),
      };
    case "local-attention":
      // Queries, keys and values have no bias; the output projection has one.
      return {
        kind,
        query: matrix(`${at}.q_proj.weight`, heads * headDim, width),
        key: matrix(`${at}.k_proj.weight`, kvHeads * headDim, width),
        value: matrix(`${at}.v_proj.weight`, kvHeads * headDim, width),
        out: linear(`${at}.o_proj`, width, heads * headDim),
      };
    default:
      return kind satisfies never;
  }
}

const matrix = (name: string, out: number, inn: number): WeightSpec => ({ name, shape: [out, inn], role: "matrix" });
const bias = (name: string, ...shape: number[]): WeightSpec => ({ name, shape, role: "bias" });
const norm = (name: string, width: number): WeightSpec => ({ name: `${name}.weight`, shape: [width], role: "norm" });

function linear(name: string, out: number, inn: number): Linear<WeightSpec> {
  return { weight: matrix(`${name}.weight`, out, inn), bias: bias(`${name}.bias`, out) };
}

function gate({ lruWidth, gateBlocks }: ModelConfig, name: string): Linear<WeightSpec> {
  const side = lruWidth / gateBlocks;
  return {
    weight: { name: `${name}_weight`, shape: [gateBlocks, side, side], role: "gate" },
    bias: bias(`${name}_bias`, gateBlocks, side),
  };
}

/** Elements of a tensor. */
export const elements = (shape: readonly number[]): number => shape.reduce((product, side) => product * side, 1);
