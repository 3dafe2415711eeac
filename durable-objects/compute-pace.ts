/** How long a model computes before it lets the event loop run. Counted, not timed: clocks stand still while a Worker computes. */

import { isMatrix } from "../shared/backend/packed.ts";
import { AerieError } from "../shared/errors.ts";
import type { ModelConfig } from "../shared/model/config.ts";
import { elements, weightTable } from "../shared/model/weight-table.ts";
import { weightLeaves } from "../shared/model/weight-tree.ts";

// Half of what one thread of an AMD EPYC did, decoding with 115 M parameters in 4.5 bits: 39 G multiply-adds a second.
const MULTIPLY_ADDS_PER_SECOND = 20e9;

// What a token costs besides: a hundred kernel calls, the sampler, text. 0.1 ms was measured with 2 M parameters.
const SECONDS_PER_TOKEN = 1e-4;

const SLICE_SECONDS = 0.02;

// A token log is written every 64 tokens: nobody needs longer slices.
const MAX_TOKENS_PER_YIELD = 64;

/** Multiply-adds to decode one token. */
export function multiplyAddsPerToken(config: ModelConfig): number {
  const { heads, headDim, windowKeys, mixers, tiedEmbeddings } = config;
  const products = weightLeaves(weightTable(config))
    .filter(({ role }) => isMatrix(role) && (role !== "embedding" || tiedEmbeddings)) // untied: rows are looked up only
    .reduce((sum, { shape }) => sum + elements(shape), 0);
  const attention = 2 * heads * headDim * windowKeys; // queries · keys and weights · values
  return products + attention * mixers.filter((kind) => kind === "local-attention").length;
}

export const secondsPerToken = (config: ModelConfig): number =>
  SECONDS_PER_TOKEN + multiplyAddsPerToken(config) / MULTIPLY_ADDS_PER_SECOND;

export function tokensPerYield(config: ModelConfig): number {
  return Math.max(1, Math.min(MAX_TOKENS_PER_YIELD, Math.floor(SLICE_SECONDS / secondsPerToken(config))));
}

/**
 * Lets the event loop run: after 20 ms of compute each, streams then flush every time and a cancel arrives after one or two.
 *
 * Measured in workerd 1.20261023.1: `scheduler.wait(0)`, `setTimeout(…, 0)` and `setImmediate` cost 1.1 ms each, in which
 * other requests of the isolate may compute. A `MessageChannel` costs 7 µs and a settled promise nothing, but neither lets
 * any I/O happen: 25 slices of 20 ms arrived at the client together, and no cancel ever did.
 */
export const yieldToEvents = (): Promise<void> => scheduler.wait(0);

// An event of an object may compute for 30 s by default (wrangler.toml asks for more); cut long before that.
const SEGMENT_SECONDS = 10;

/**
 * Tokens that one event may process before a turn ends its segment. Prefill is faster: the bound is what decoding takes.
 * `seconds` is the variable AERIE_SEGMENT_SECONDS.
 */
export function segmentTokens(config: ModelConfig, seconds: string | undefined): number {
  const limit = seconds === undefined ? SEGMENT_SECONDS : Number(seconds);
  if (!(limit > 0))
    throw new AerieError(
      "segments",
      `AERIE_SEGMENT_SECONDS: expected a number above 0, found ${JSON.stringify(seconds)}`,
    );
  return Math.ceil(limit / secondsPerToken(config));
}

// What keeps nothing is one event of the Worker's, and the platform would end it at 300 s of CPU (wrangler.toml) with half of
// an answer sent. Well below that, since the pace is an estimate.
const REQUEST_SECONDS = 200;

/** Output tokens that one request which keeps nothing may compute. */
export const requestTokens = (config: ModelConfig): number => Math.floor(REQUEST_SECONDS / secondsPerToken(config));
