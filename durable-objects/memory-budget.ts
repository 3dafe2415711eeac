/** What an isolate has memory for. The runtime of a deployment kills what takes more, the local one does not: so it is counted here. */

import { arenaBytes } from "../shared/backend/wasm/arena-bytes.ts";
import { FIRST_FREE_BYTE } from "../shared/backend/wasm/kernels.ts";
import { streamsOf, totalBytes } from "../shared/backend/wasm/weight-streams.ts";
import { bundledWeights, type Manifest } from "../shared/checkpoint/bundle-manifest.ts";
import type { Needs } from "../shared/conversation/model-source.ts";
import type { Model } from "../shared/engine.ts";
import { TOKENIZER_FILE } from "../shared/load-tokenizer.ts";
import { stateLayout } from "../shared/model/state-layout.ts";

// A Worker's isolate has 128 MB for the JS heap and all wasm memories together, and every object of the script that the
// runtime places in it shares them.
const ISOLATE_BYTES = 128_000_000;

// V8's heap with our code and libraries (10 to 15 MB), request and response buffers, the staging buffer of a load (1 MiB).
const RUNTIME_BYTES = 20_000_000;

/** For models and computations. */
export const BUDGET_BYTES = ISOLATE_BYTES - RUNTIME_BYTES;

/**
 * The most that a model's packed weights may take. What is left of the budget, 28 MB, holds at this size: activations (6 MB
 * with 32,000 tokens in the vocabulary), two states in the memory and the copies of a computation, a tokenizer (9 MB).
 */
export const MAX_WEIGHT_BYTES = 80_000_000;

/** Tokens per call. A call's logits take this many rows of the vocabulary, so half of what Node has by default. */
export const MAX_TOKENS = 32;

/** States that lie in a model's memory at a time. */
export const STATE_SLOTS = 2;

// Bytes of heap per byte of tokenizer.json: 3.7 was measured for 256,000 tokens, the file itself and its JSON are garbage.
const TOKENIZER_HEAP = 4;

/** Beside its states a computation has a prompt, its tokens, streams and one row of logits. */
const COMPUTATION_HEAP_BYTES = 500_000;

/** The wasm memory that a model will lay out: constants, weights, states, activations, and roundings to 64 bytes and pages. */
export function memoryBytes(manifest: Manifest): number {
  const { config, ring } = manifest;
  const weights = totalBytes(streamsOf(bundledWeights(manifest)));
  const states = STATE_SLOTS * (stateLayout(config, ring).bytes + 64);
  const bytes = FIRST_FREE_BYTE + weights + states + arenaBytes(config, MAX_TOKENS, MAX_TOKENS) + 128;
  return Math.ceil(bytes / 65_536) * 65_536;
}

export function tokenizerBytes({ files }: Manifest): number {
  return TOKENIZER_HEAP * (files.find(({ file }) => file === TOKENIZER_FILE)?.bytes ?? 0);
}

export function computationBytes(
  { stateLayout, config }: Pick<Model, "stateLayout" | "config">,
  { states, bytes = 0 }: Needs,
): number {
  return states * stateLayout.bytes + bytes + 4 * config.vocabSize + COMPUTATION_HEAP_BYTES;
}
