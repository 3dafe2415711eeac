/** Are these sampling options legal? Checks every value once, at the border; inside, `SamplingOptions` are trusted. */

import { OptionError } from "../errors.ts";
import { defaultSampling, type SamplingInput, type SamplingOptions } from "./options.ts";

type NumberOption = Exclude<keyof SamplingOptions, "logitBias" | "seed" | "logprobs">;

interface Range {
  readonly phrase: string;
  readonly accepts: (value: number) => boolean;
}

const ranges: Readonly<Record<NumberOption, Range>> = {
  repetitionPenalty: between(0.01, 100),
  presencePenalty: between(-2, 2),
  frequencyPenalty: between(-2, 2),
  temperature: { phrase: "a finite number, 0 or more", accepts: (t) => Number.isFinite(t) && t >= 0 },
  topK: { phrase: "an integer, 0 or more", accepts: (k) => Number.isSafeInteger(k) && k >= 0 },
  typicalP: { phrase: "a number above 0 and at most 1", accepts: (p) => p > 0 && p <= 1 },
  topP: between(0, 1),
  minP: between(0, 1),
  topLogprobs: { phrase: "an integer from 0 to 20", accepts: (n) => Number.isInteger(n) && n >= 0 && n <= 20 },
};
const biasRange = between(-100, 100);
const SEED_MIN = -(2n ** 63n);
const SEED_MAX = 2n ** 64n - 1n;

/** Fills in the defaults and checks every value, throwing an `OptionError` that names the option, what it may be and
 *  what was found. An option that is `undefined` takes its default; an unknown one is an error, never ignored.
 *  With `vocabSize` the token ids in `logitBias` are checked too, which the sampler otherwise does at the first token. */
export function parseSampling(input: SamplingInput = {}, vocabSize?: number): SamplingOptions {
  if (!isPlainObject(input)) {
    throw new OptionError("sampling", `the sampling options must be an object, found ${show(input)}`);
  }
  const given: Record<keyof SamplingOptions, unknown> = { ...defaultSampling };
  for (const [name, value] of Object.entries(input)) {
    if (!isOptionName(name)) {
      const known = Object.keys(defaultSampling).join(", ");
      throw new OptionError(name, `${name} is not a sampling option; the options are ${known}`);
    }
    if (value !== undefined) given[name] = value;
  }
  const number = (name: NumberOption) => parseNumber(name, given[name], ranges[name]);
  const options: SamplingOptions = {
    repetitionPenalty: number("repetitionPenalty"),
    presencePenalty: number("presencePenalty"),
    frequencyPenalty: number("frequencyPenalty"),
    logitBias: parseLogitBias(given.logitBias),
    temperature: number("temperature"),
    topK: number("topK"),
    typicalP: number("typicalP"),
    topP: number("topP"),
    minP: number("minP"),
    seed: parseSeed(given.seed),
    logprobs: parseBoolean("logprobs", given.logprobs),
    topLogprobs: number("topLogprobs"),
  };
  if (options.topLogprobs > 0 && !options.logprobs) {
    throw new OptionError("topLogprobs", `topLogprobs is ${options.topLogprobs}, which needs logprobs to be true`);
  }
  if (vocabSize !== undefined) checkBiasedTokens(options.logitBias, vocabSize);
  return Object.freeze(options);
}

/** Throws an `OptionError` when a biased token isn't in the vocabulary. */
export function checkBiasedTokens(logitBias: ReadonlyMap<number, number>, vocabSize: number): void {
  for (const token of logitBias.keys()) {
    if (token >= vocabSize) {
      throw new OptionError("logitBias", `logitBias names token ${token}, the vocabulary has ${vocabSize} tokens`);
    }
  }
}

function parseNumber(name: string, value: unknown, range: Range, param = name): number {
  if (typeof value === "number" && range.accepts(value)) return value;
  throw new OptionError(param, `${name} must be ${range.phrase}, found ${show(value)}`);
}

function parseBoolean(name: string, value: unknown): boolean {
  if (typeof value === "boolean") return value;
  throw new OptionError(name, `${name} must be true or false, found ${show(value)}`);
}

function parseSeed(value: unknown): bigint {
  if (typeof value === "number" && Number.isSafeInteger(value)) return BigInt.asUintN(64, BigInt(value));
  if (typeof value === "bigint" && value >= SEED_MIN && value <= SEED_MAX) return BigInt.asUintN(64, value);
  throw new OptionError("seed", `seed must be a safe integer or a bigint of 64 bits, found ${show(value)}`);
}

function parseLogitBias(value: unknown): ReadonlyMap<number, number> {
  let entries: Iterable<readonly [unknown, unknown]>;
  if (value instanceof Map) entries = value;
  else if (isPlainObject(value)) entries = Object.entries(value).map(([key, bias]) => [parseTokenKey(key), bias]);
  else {
    throw new OptionError("logitBias", `logitBias must map token ids to biases, found ${show(value)}`);
  }
  const biases = new Map<number, number>();
  for (const [token, bias] of entries) {
    if (typeof token !== "number" || !Number.isSafeInteger(token) || token < 0) {
      throw new OptionError(
        "logitBias",
        `logitBias must have token ids (integers from 0) as keys, found ${show(token)}`,
      );
    }
    biases.set(token, parseNumber(`logitBias of token ${token}`, bias, biasRange, "logitBias"));
  }
  return biases;
}

/** JSON has only strings as keys; one that isn't a plain decimal is handed on as it is, for the error to show it. */
function parseTokenKey(key: string): number | string {
  return /^(0|[1-9][0-9]*)$/.test(key) ? Number(key) : key;
}

function between(min: number, max: number): Range {
  return { phrase: `a number from ${min} to ${max}`, accepts: (value) => value >= min && value <= max };
}

function isOptionName(name: string): name is keyof SamplingOptions {
  return Object.hasOwn(defaultSampling, name);
}

function isPlainObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Map);
}

function show(value: unknown): string {
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === "bigint") return `${value}n`;
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" && value !== null ? "an object" : String(value);
}
