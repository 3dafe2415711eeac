/** What a caller can ask of the sampler: every option's meaning, range and default. `parse-options.ts` holds the checks. */

/** In the order in which they act on the logits (`sampler.ts` shows the order as code). */
export interface SamplingOptions {
  /** Divides the logit if positive, else multiplies it, of each token among the last 64 (prompt included).
   *  0.01 to 100; 1 = off; above 1 discourages. Default 1. */
  readonly repetitionPenalty: number;
  /** Subtracted from the logit of each token that this output already contains. −2 to 2; default 0 = off. */
  readonly presencePenalty: number;
  /** Subtracted from a token's logit once for each time this output contains it. −2 to 2; default 0 = off. */
  readonly frequencyPenalty: number;
  /** Token id → what is added to its logit, −100 to 100: −100 practically bans a token, 100 practically forces it.
   *  A token whose logit is −Infinity stays banned. Default: empty. */
  readonly logitBias: ReadonlyMap<number, number>;
  /** Divides the logits: below 1 sharpens, above 1 flattens. 0 = take the most likely token, no draw.
   *  0 and up (an API may allow less); default 1. */
  readonly temperature: number;
  /** Keeps the k most likely tokens. An integer from 0; default 0 = all. */
  readonly topK: number;
  /** Keeps the most typical tokens, those whose surprise is closest to the entropy, until they hold this share of the
   *  probability (Meister et al., 2022). Above 0, to 1; default 1 = all. */
  readonly typicalP: number;
  /** Keeps the smallest set of most likely tokens that holds this share of the probability, at least one token.
   *  0 to 1; default 1 = all; 0 keeps the most likely one. */
  readonly topP: number;
  /** Keeps tokens at least this many times as likely as the most likely one left. 0 to 1; default 0 = all. */
  readonly minP: number;
  /** Same seed, logits, options and place: same token. A 64-bit number; negative ones are taken modulo 2⁶⁴. Default 0:
   *  the sampler invents no randomness, so a caller who wants replies to vary draws a seed for each. */
  readonly seed: bigint;
  /** Whether to report log-probabilities, those of the model before all of the above. Default false. */
  readonly logprobs: boolean;
  /** How many of the most likely tokens to report; needs `logprobs`. An integer from 0 to 20; default 0. */
  readonly topLogprobs: number;
}

/** What a caller may write: any of the options, the seed also as a safe integer, the biases also as `{ "123": -100 }`. */
export interface SamplingInput extends Partial<Omit<SamplingOptions, "seed" | "logitBias">> {
  readonly seed?: number | bigint;
  readonly logitBias?: ReadonlyMap<number, number> | Readonly<Record<string, number>>;
}

/** Neutral: draws from the model's own distribution. */
export const defaultSampling: SamplingOptions = Object.freeze({
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  logitBias: new Map<number, number>(),
  temperature: 1,
  topK: 0,
  typicalP: 1,
  topP: 1,
  minP: 0,
  seed: 0n,
  logprobs: false,
  topLogprobs: 0,
});
