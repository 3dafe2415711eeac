/** The oracle of the sampler's tests: what the filters mean, by sorting everything and adding up in BigInt. */

import type { SamplingOptions } from "../../shared/sampler/options.ts";

export interface NaiveCandidate {
  readonly id: number;
  /** (logit − largest logit) / temperature */
  readonly x: number;
  /** The probability in units of a power of two. */
  readonly mass: bigint;
}

type Filters = Pick<SamplingOptions, "temperature" | "topK" | "typicalP" | "topP" | "minP">;

/** The tokens that survive all filters, most likely first, among equals the lowest id. */
export function naiveCandidates(logits: ArrayLike<number>, filters: Filters): NaiveCandidate[] {
  let left = weigh(scaleAndSort(logits, filters.temperature, filters.topK));
  if (filters.typicalP < 1) left = typical(left, filters.typicalP).sort(byLikelihood);
  if (filters.topP < 1) left = firstHolding(left, filters.topP);
  return left.filter(({ mass }) => Number(mass) >= filters.minP * Number(left[0]!.mass));
}

/** The candidate at which the running sum exceeds `fraction` of the whole. */
export function naiveDraw(candidates: readonly NaiveCandidate[], fraction: number): number {
  const place = (BigInt(fraction * 2 ** 53) * sumOf(candidates)) >> 53n;
  let sum = 0n;
  for (const { id, mass } of candidates) {
    sum += mass;
    if (sum > place) return id;
  }
  throw new Error("a fraction below 1 always finds its candidate");
}

function scaleAndSort(logits: ArrayLike<number>, temperature: number, topK: number): { id: number; x: number }[] {
  const largest = Array.from(logits).reduce((a, b) => Math.max(a, b), -Infinity);
  const sorted = Array.from(logits, (logit, id) => ({ id, x: (logit - largest) / temperature })).sort(byLikelihood);
  return topK === 0 ? sorted : sorted.slice(0, topK);
}

function weigh(tokens: readonly { id: number; x: number }[]): NaiveCandidate[] {
  const sum = tokens.reduce((total, { x }) => total + Math.exp(x), 0);
  const unit = 2 ** (51 - Math.floor(Math.log2(sum)));
  const weighed = tokens.map(({ id, x }) => ({ id, x, mass: BigInt(Math.round(Math.exp(x) * unit)) }));
  return weighed.filter(({ mass }) => mass > 0n);
}

/** By the definition: the entropy, and each token's surprise, computed from probabilities. */
function typical(tokens: readonly NaiveCandidate[], typicalP: number): NaiveCandidate[] {
  const logZ = Math.log(tokens.reduce((total, { x }) => total + Math.exp(x), 0));
  const entropy = tokens.reduce((total, { x }) => total - Math.exp(x - logZ) * (x - logZ), 0);
  const distance = ({ x }: NaiveCandidate) => Math.abs(-(x - logZ) - entropy);
  return firstHolding(
    [...tokens].sort((a, b) => distance(a) - distance(b) || a.id - b.id),
    typicalP,
  );
}

function firstHolding(ordered: readonly NaiveCandidate[], part: number): NaiveCandidate[] {
  const target = BigInt(Math.round(part * Number(sumOf(ordered))));
  let sum = 0n;
  let count = 0;
  do sum += ordered[count++]!.mass;
  while (sum < target && count < ordered.length);
  return ordered.slice(0, count);
}

function byLikelihood(a: { id: number; x: number }, b: { id: number; x: number }): number {
  if (a.x === b.x) return a.id - b.id;
  return a.x > b.x ? -1 : 1;
}

function sumOf(candidates: readonly NaiveCandidate[]): bigint {
  return candidates.reduce((total, { mass }) => total + mass, 0n);
}
