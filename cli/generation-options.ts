/** The options that `complete` and `chat` share: how long a text may get, what ends it, how it is sampled. */

import { type Command, InvalidArgumentError } from "commander";
import type { GenerateOptions } from "../shared/generate.ts";
import { parseSampling } from "../shared/sampler/parse-options.ts";

export interface GenerationOptions {
  readonly maxTokens: number;
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly minP: number;
  readonly repetitionPenalty: number;
  readonly seed?: bigint;
  readonly stop: string[];
}

export function withGeneration(command: Command): Command {
  return command
    .option("--max-tokens <n>", "most tokens to generate", parseNumber, 256)
    .option("--temperature <t>", "0 takes the most likely token; above, larger is more varied", parseNumber, 0.7)
    .option("--top-p <p>", "sample from the most likely tokens that hold this share of the probability", parseNumber, 1)
    .option("--top-k <k>", "sample from the k most likely tokens; 0 is all", parseNumber, 0)
    .option("--min-p <p>", "drop tokens less likely than this share of the likeliest", parseNumber, 0)
    .option("--repetition-penalty <r>", "above 1 discourages tokens among the last 64", parseNumber, 1)
    .option("--seed <n>", "same seed, same text (default: drawn anew)", parseSeed)
    .option(
      "--stop <text>",
      "end before this text; may be given several times",
      (text, all: string[]) => [...all, text],
      [],
    );
}

/** Checked options for the engine. The seed is drawn here if none was given. */
export function generateOptions(options: GenerationOptions): GenerateOptions {
  const { temperature, topP, topK, minP, repetitionPenalty } = options;
  const seed = options.seed ?? crypto.getRandomValues(new BigUint64Array(1))[0];
  return {
    maxTokens: options.maxTokens,
    stop: options.stop,
    sampling: parseSampling({ temperature, topP, topK, minP, repetitionPenalty, seed }),
  };
}

function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value))
    throw new InvalidArgumentError(`expected a number, found ${JSON.stringify(text)}`);
  return value;
}

function parseSeed(text: string): bigint {
  if (!/^-?\d+$/.test(text)) throw new InvalidArgumentError(`expected a whole number, found ${JSON.stringify(text)}`);
  return BigInt(text);
}
