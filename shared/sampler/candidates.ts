/** The tokens still in play, and how likely each is: what the filters thin out and the draw chooses from. */

import { expOf } from "./exp.ts";
import type { SampleScratch } from "./scratch.ts";
import { shortestPrefix } from "./select.ts";

/** A token's probability is kept as a whole number of units, its mass. A unit is 2⁻⁵² to 2⁻⁵¹ of all probability, about
 *  what a 53-bit random number can tell apart. Sums of masses are exact, so neither a filter's boundary nor a draw
 *  depends on the order in which probabilities were added. Tokens below half a unit are out of play. */
export interface Candidates {
  /** ids[0 … count) are in play, in no particular order. */
  readonly ids: Uint32Array;
  count: number;
  /** By token id: (logit − largest logit) / temperature, so at most 0. Larger is likelier; equals go by lower id. */
  readonly scaled: Float64Array;
  readonly mass: Float64Array;
  /** Sum of the masses in play; below 2⁵³. */
  total: number;
}

/** Below this a token weighs less than half a unit: the most likely one weighs at most 2⁵¹ units, exp(36.04) halves. */
const NEGLIGIBLE = -37;

/** Scales the logits in scratch by the temperature and keeps the topK likeliest tokens (0 = all that aren't banned).
 *  Exponentials are taken only of what was kept. `largest` is the largest of the logits. */
export function candidatesOf(scratch: SampleScratch, largest: number, temperature: number, topK: number): Candidates {
  const { ids, logits: scaled } = scratch;
  let count = 0;
  for (let id = 0; id < scaled.length; id++) {
    const x = (scaled[id]! - largest) / temperature;
    scaled[id] = x;
    if (x > NEGLIGIBLE) ids[count++] = id;
  }
  if (topK > 0 && topK < count) count = shortestPrefix(ids, count, scaled, undefined, topK);
  const candidates = { ids, count, scaled, mass: scratch.mass, total: 0 };
  weigh(candidates);
  return candidates;
}

/** mass[i] = round(unit · exp(scaled[i])), with the power of two as unit that puts their sum between 2⁵¹ and 2⁵². */
function weigh(candidates: Candidates): void {
  const { ids, scaled, mass } = candidates;
  let sum = 0;
  for (let i = 0; i < candidates.count; i++) {
    const id = ids[i]!;
    const weight = expOf(scaled[id]!);
    mass[id] = weight;
    sum += weight;
  }
  let unit = 2 ** 51; // right for a sum from 1 to 2, and the most likely token alone is 1
  for (let power = 2; power <= sum; power *= 2) unit /= 2;
  let kept = 0;
  let total = 0;
  for (let i = 0; i < candidates.count; i++) {
    const id = ids[i]!;
    const units = Math.floor(mass[id]! * unit + 0.5);
    if (units === 0) continue;
    mass[id] = units;
    total += units;
    ids[kept++] = id;
  }
  candidates.count = kept;
  candidates.total = total;
}

/** Keeps ids[0 … count) and adds up what they hold. */
export function keepFirst(candidates: Candidates, count: number): void {
  let total = 0;
  for (let i = 0; i < count; i++) total += candidates.mass[candidates.ids[i]!]!;
  candidates.count = count;
  candidates.total = total;
}
