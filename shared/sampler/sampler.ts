/** Which token comes next? A pure function of logits, options, history, seed and output index: nothing is remembered
 *  between tokens, so a reply can be resumed, replayed or forked anywhere and goes on with the same tokens. Given the same
 *  logits they are the same in every JavaScript engine, as only exact and IEEE operations choose them (`exp.ts`). */

import { AerieError } from "../errors.ts";
import { candidatesOf } from "./candidates.ts";
import type { SampleContext } from "./context.ts";
import { draw } from "./draw.ts";
import { keepMinP, keepTopP, keepTypical } from "./filters.ts";
import { logNormalizer, mostLikely, type TokenLogprob } from "./logprobs.ts";
import type { SamplingOptions } from "./options.ts";
import { adjustLogits } from "./penalties.ts";
import { uniform } from "./philox.ts";
import { SampleScratch } from "./scratch.ts";

export interface Sampled {
  readonly token: number;
  /** The model's own log-probability of the token; there if `logprobs` is on. */
  readonly logprob?: number;
  /** The most likely tokens in order, whether or not the sampled one is among them; there if `logprobs` is on. */
  readonly topLogprobs?: readonly TokenLogprob[];
}

/** Samples one token. All arithmetic is f64, in this order:
 *  1. repetition, presence and frequency penalties, biases (`penalties.ts`)
 *  2. temperature 0: the largest logit, among equals the lowest id; else the logits are divided by the temperature
 *  3. topK, typicalP, topP, minP (`filters.ts`)
 *  4. a draw from what is left (`draw.ts`), with a uniform number made of (seed, outputIndex, choice) (`philox.ts`)
 *  Log-probabilities, if asked for, are those of the logits as handed in (`logprobs.ts`).
 *
 *  `logits` is (V), after the soft cap, and isn't changed; −Infinity bans a token. `options` come from `parseSampling`.
 *  `scratch` must be made for the same V and saves allocating it anew. */
export function sample(
  logits: Float32Array,
  options: SamplingOptions,
  context: SampleContext,
  scratch: SampleScratch = new SampleScratch(logits.length),
): Sampled {
  checkContext(context);
  copyLogits(logits, scratch);
  adjustLogits(scratch.logits, options, context);
  const token = chooseToken(options, context, scratch);
  if (!options.logprobs) return { token };
  const normalizer = logNormalizer(logits);
  const topLogprobs = mostLikely(logits, options.topLogprobs, normalizer);
  return { token, logprob: logits[token]! - normalizer, topLogprobs };
}

function chooseToken(options: SamplingOptions, context: SampleContext, scratch: SampleScratch): number {
  const likeliest = largestOf(scratch.logits);
  if (options.temperature === 0) return likeliest;
  const candidates = candidatesOf(scratch, scratch.logits[likeliest]!, options.temperature, options.topK);
  keepTypical(candidates, options.typicalP, scratch);
  keepTopP(candidates, options.topP);
  keepMinP(candidates, options.minP);
  return draw(candidates, uniform(options.seed, context.outputIndex, context.choice ?? 0));
}

/** The index of the largest value, the first of equals. */
function largestOf(values: Float64Array): number {
  let best = 0;
  for (let id = 1; id < values.length; id++) if (values[id]! > values[best]!) best = id;
  return best;
}

/** Copies the logits to scratch and refuses those that make no distribution. */
function copyLogits(logits: Float32Array, scratch: SampleScratch): void {
  if (scratch.vocabSize !== logits.length) {
    throw new AerieError(
      "sampler.scratch",
      `there are ${logits.length} logits, the scratch is for ${scratch.vocabSize}`,
    );
  }
  const copy = scratch.logits;
  let largest = -Infinity;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (!(logit < Infinity)) {
      throw new AerieError("sampler.logits", `the logit of token ${id} is ${logit}, it must be finite or -Infinity`);
    }
    if (logit > largest) largest = logit;
    copy[id] = logit;
  }
  if (largest === -Infinity) {
    throw new AerieError("sampler.banned", `no token can be sampled: all ${logits.length} logits are -Infinity`);
  }
}

function checkContext(context: SampleContext): void {
  for (const name of ["outputIndex", "choice"] as const) {
    const value = context[name] ?? 0;
    if (Number.isInteger(value) && value >= 0 && value < 2 ** 32) continue;
    throw new AerieError("sampler.context", `${name} must be an integer from 0 to ${2 ** 32 - 1}, found ${value}`);
  }
}
