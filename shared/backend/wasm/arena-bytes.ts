/** How much room one call's activations take, from the config alone. */

import { type ModelConfig, rotaryDims } from "../../model/config.ts";

/** Bytes for calls of up to `maxTokens` tokens whose logits are asked for up to `logitRows` rows at a time. */
export function arenaBytes(config: ModelConfig, maxTokens: number, logitRows: number): number {
  const { width: D, mlpWidth: F, lruWidth: E, heads, kvHeads, headDim: K, vocabSize: V, windowKeys } = config;
  const T = maxTokens;
  // A tensor and, beside it, its int8 form in its larger version: 2 bytes a number, and scales.
  const tensor = (columns: number) => T * columns * 4;
  const product = (columns: number) =>
    Math.ceil(T / 4) * 4 * (Math.ceil(columns / 32) * 32 * 2 + Math.ceil(columns / 32) * 5) + 4096;
  const panel = (columns: number) => Math.max(columns * 64, Math.ceil(columns / 32) * 512) + 4096; // f16 tile or GEMM panel
  const recurrent = tensor(D) + product(D) + 7 * tensor(E) + 2 * product(E) + tensor(D) + 2 * panel(D) + 8 * panel(E);
  const window = 2 * (windowKeys + T) * K * 4 + (2 * windowKeys + K + 16) * 4;
  const attention =
    tensor(D) +
    product(D) +
    2 * tensor(heads * K) +
    2 * tensor(kvHeads * K) +
    product(heads * K) +
    tensor(D) +
    window +
    4 * panel(D) +
    panel(heads * K);
  const mlp = tensor(D) + product(D) + 3 * tensor(F) + product(F) + tensor(D) + 2 * panel(D) + panel(F);
  const head = tensor(D) + product(D) + panel(D) + logitRows * V * 4;
  const rope = T * rotaryDims(config) * 4;
  const roundings = 64 * 1024; // every allocation is rounded up to 64 bytes
  return tensor(D) + rope + Math.max(recurrent, attention, mlp, head) + roundings;
}
