/** Text from a model: sample, decode, watch for the end, one token at a time. */

import type { State } from "./backend/backend.ts";
import { type Model, step } from "./engine.ts";
import { OptionError } from "./errors.ts";
import { countToken, countTokens } from "./sampler/context.ts";
import type { SamplingOptions } from "./sampler/options.ts";
import { type Sampled, sample } from "./sampler/sampler.ts";
import { SampleScratch } from "./sampler/scratch.ts";
import { StopMatcher } from "./tokenizer/stop-matcher.ts";
import { TextStream } from "./tokenizer/text-stream.ts";
import type { Tokenizer } from "./tokenizer/tokenizer.ts";

export interface GenerateOptions {
  /** From `parseSampling`. */
  readonly sampling: SamplingOptions;
  /** Most tokens to generate; at least 1. */
  readonly maxTokens: number;
  /** Strings that end the text where they begin; never shown. Default: none. */
  readonly stop?: readonly string[];
  /** Ids that end the text; default: the model's `eosIds`. */
  readonly eosIds?: readonly number[];
  /**
   * What this output already holds, when it is taken up again: the last ids of `history`. They count for the penalties and
   * for the place in the random sequence, so the output goes on as if it had never stopped. Default: none.
   */
  readonly output?: readonly number[];
}

/** One generated token. */
export interface GeneratedToken extends Sampled {
  /**
   * The text that became certain with this token: often "", since a character may span tokens and what may be the
   * beginning of a stop string is held back.
   */
  readonly text: string;
}

export interface GenerateResult {
  /** `stop`: an end token or a stop string; `length`: `maxTokens` were generated. */
  readonly finishReason: "stop" | "length";
  /** The stop string that ended the text. */
  readonly stopString: string | null;
  /** Text that was held back until the end was certain; to be shown after the last token's. */
  readonly rest: string;
  /** Every generated id, an end token included. */
  readonly ids: number[];
}

/**
 * Goes on from `logits` [V], those that follow `history`: the ids that the state has consumed. Each id but the last is
 * consumed into the state, so afterwards the token log `[...history, ...ids]` is one longer than `state.position`, and
 * the next turn begins by consuming that one.
 *
 * The same arguments give the same tokens; whoever stops iterating stops the generation.
 */
export async function* generate(
  model: Model,
  tokenizer: Tokenizer,
  state: State,
  logits: Float32Array,
  history: readonly number[],
  options: GenerateOptions,
): AsyncGenerator<GeneratedToken, GenerateResult> {
  const { sampling, maxTokens, stop = [], eosIds = model.config.eosIds, output = [] } = options;
  if (!Number.isInteger(maxTokens) || maxTokens < 1)
    throw new OptionError("maxTokens", `maxTokens: expected a whole number from 1, found ${maxTokens}`);
  const stopMatcher = new StopMatcher(stop);
  const textStream = new TextStream(tokenizer);
  const scratch = new SampleScratch(model.config.vocabSize);
  const log = [...history];
  const firstIndex = output.length; // taken now: the caller's array may grow while this runs
  const outputCounts = countTokens(output);
  const ids: number[] = [];
  const following = new Float32Array(model.config.vocabSize);

  for (let next = logits; ; next = await step(model, state, ids[ids.length - 1], following)) {
    const sampled = sample(
      next,
      sampling,
      { history: log, outputCounts, outputIndex: firstIndex + ids.length },
      scratch,
    );
    ids.push(sampled.token);
    log.push(sampled.token);
    countToken(outputCounts, sampled.token);

    const isEnd = eosIds.includes(sampled.token);
    const shown = isEnd ? { text: "", stopped: null } : stopMatcher.push(textStream.push(sampled.token));
    yield { ...sampled, text: shown.text };
    if (shown.stopped !== null) return { finishReason: "stop", stopString: shown.stopped, rest: "", ids };
    if (isEnd || ids.length === maxTokens) {
      // A character that never became whole may, as U+FFFD, complete a stop string after all.
      const last = stopMatcher.push(textStream.end());
      const rest = last.text + stopMatcher.end();
      return { finishReason: isEnd || last.stopped !== null ? "stop" : "length", stopString: last.stopped, rest, ids };
    }
  }
}
