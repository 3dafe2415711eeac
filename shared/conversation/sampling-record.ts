/** The sampler's options and results as plain JSON, and back. */

import type { TokenLogprob } from "../sampler/logprobs.ts";
import type { SamplingOptions } from "../sampler/options.ts";
import { parseSampling } from "../sampler/parse-options.ts";
import type { Sampled } from "../sampler/sampler.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { LogprobRecord, SamplingRecord } from "./types.ts";

/** The model's own distribution. */
export const plainSampling: SamplingRecord = {
  temperature: 1,
  topP: 1,
  topK: 0,
  minP: 0,
  typicalP: 1,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: [],
  seed: "0",
  logprobs: false,
  topLogprobs: 0,
};

/** Throws an `OptionError` for values that the sampler does not take, a bias of a token that the model lacks included. */
export function toSamplingOptions(record: SamplingRecord, vocabSize: number): SamplingOptions {
  const { logitBias, seed, ...rest } = record;
  return parseSampling({ ...rest, logitBias: new Map(logitBias), seed: BigInt(seed) }, vocabSize);
}

/** With the text and bytes of each token. `sampled` has log-probabilities. */
export function toLogprobRecord(tokenizer: Tokenizer, sampled: Sampled): LogprobRecord {
  const { token, logprob = 0, topLogprobs = [] } = sampled;
  return { ...spelled(tokenizer, { token, logprob }), top: topLogprobs.map((top) => spelled(tokenizer, top)) };
}

function spelled(tokenizer: Tokenizer, { token, logprob }: TokenLogprob): Omit<LogprobRecord, "top"> {
  const bytes = token < tokenizer.vocabSize ? tokenizer.pieceBytes(token) : new Uint8Array();
  return { token, text: new TextDecoder().decode(bytes), bytes: [...bytes], logprob };
}
