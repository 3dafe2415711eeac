/** Which token comes next, when only the largest logits are at hand? Where all of them lie on a GPU, a quarter of a million
 *  numbers need not travel for one token, if what is asked for can't depend on more than a few. */

import { type Largest, MOST_LARGEST, NO_COLUMN } from "../backend/backend.ts";
import { AerieError } from "../errors.ts";
import type { SampleContext } from "./context.ts";
import type { SamplingOptions } from "./options.ts";
import { type Sampled, sample } from "./sampler.ts";
import type { SampleScratch } from "./scratch.ts";

/** How many of the largest logits settle the token as surely as all of them; null where only all do: without a `topK`
 *  every logit counts, penalties and biases can lift any of them, and log-probabilities are shares of the whole. */
export function largestNeeded(options: SamplingOptions, vocabSize: number): number | null {
  const { temperature, topK, repetitionPenalty, presencePenalty, frequencyPenalty, logitBias, logprobs } = options;
  const isAdjusted = repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0 || logitBias.size > 0;
  if (isAdjusted || logprobs) return null;
  if (temperature === 0) return 1;
  const count = Math.min(topK, vocabSize);
  return count > 0 && count <= MOST_LARGEST ? count : null;
}

/** The token that `sample` chooses among all logits, from the `largestNeeded` largest of one row, as `Backend.largest` gives them.
 *  It refuses what `sample` refuses. `scratch` must be made for as many logits as are needed. */
export function sampleLargest(
  { values, columns }: Largest,
  options: SamplingOptions,
  context: SampleContext,
  scratch: SampleScratch,
): Sampled {
  if (columns.includes(NO_COLUMN))
    throw new AerieError("sampler.logits", "a logit is NaN or Infinity, all must be finite or -Infinity");
  // By id, since among equals the lower one comes first.
  const order = [...columns.keys()].sort((a, b) => columns[a]! - columns[b]!);
  const { token } = sample(
    Float32Array.from(order, (at) => values[at]!),
    options,
    context,
    scratch,
  );
  return { token: columns[order[token]!]! };
}
