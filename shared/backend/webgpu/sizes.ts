/** How much room one call's activations take, from the config alone. */

import { type ModelConfig, rotaryDims } from "../../model/config.ts";
import { MOST_LARGEST } from "../backend.ts";
import { CHUNK } from "./kernels.ts";

export interface ArenaSizes {
  /** f32 numbers of tensors and attention scores. */
  readonly numbers: number;
  /** vec4u of int8 activations: 3 for every 32 columns (activations.wgsl). */
  readonly vectors: number;
  /** Words that the host uploads with a call: ids, angles, where the states of a batch lie and their positions. */
  readonly uploads: number;
}

/** For calls of up to `maxTokens` tokens whose logits are asked for all at once. */
export function arenaSizes(config: ModelConfig, maxTokens: number): ArenaSizes {
  const { width: D, mlpWidth: F, lruWidth: E, gateBlocks: B, heads, kvHeads, headDim: K, vocabSize: V } = config;
  const scores = heads * (config.windowKeys + 1);
  const recurrent = 2 * D + 7 * E;
  const attention = 2 * D + 2 * heads * K + 4 * kvHeads * K + scores;
  const mlp = 2 * D + 3 * F;
  const head = D + V + 4 * Math.ceil(V / CHUNK) * MOST_LARGEST;
  const vectors = (columns: number) => 3 * (Math.ceil(columns / 32) + 1);
  // Two forms of each: matrices of a model may be of both formats.
  const quantised = vectors(D) + Math.max(vectors(E) + vectors(E) + 3 * B, vectors(heads * K), vectors(F)) + vectors(D);
  return {
    numbers: maxTokens * (D + Math.max(recurrent, attention, mlp, head)),
    vectors: 2 * maxTokens * quantised,
    uploads: 2 * maxTokens * (3 + rotaryDims(config)),
  };
}
