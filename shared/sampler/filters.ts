/** Which candidates a draw may choose from. Each filter sees the probabilities renormalised over what the ones before
 *  it left, as in Hugging Face's transformers. (topK comes first of all and is `candidatesOf`'s, before any exponential.) */

import { type Candidates, keepFirst } from "./candidates.ts";
import type { SampleScratch } from "./scratch.ts";
import { shortestPrefix } from "./select.ts";

/** Locally typical sampling: the tokens whose surprise −log p is closest to the entropy, until they hold `typicalP`.
 *  Equal distances go by lower id.  Source: Meister et al., "Locally typical sampling" (2022).
 *    With log p[i] = x[i] − log Z the entropy is log Z − Σ p·x, so the distance is |x[i] − Σ p·x|: log Z cancels. */
export function keepTypical(candidates: Candidates, typicalP: number, scratch: SampleScratch): void {
  if (typicalP === 1) return;
  const { typicality } = scratch;
  const { ids, count, scaled, mass, total } = candidates;
  let sum = 0;
  for (let i = 0; i < count; i++) sum += mass[ids[i]!]! * scaled[ids[i]!]!;
  const mean = sum / total;
  for (let i = 0; i < count; i++) typicality[ids[i]!] = -Math.abs(scaled[ids[i]!]! - mean);
  keepFirst(candidates, shortestPrefix(ids, count, typicality, mass, share(typicalP, total)));
}

/** Nucleus sampling: the shortest run of most likely tokens that holds `topP`; at least one token. */
export function keepTopP(candidates: Candidates, topP: number): void {
  if (topP === 1) return;
  const { ids, count, scaled, mass, total } = candidates;
  keepFirst(candidates, shortestPrefix(ids, count, scaled, mass, share(topP, total)));
}

/** The tokens at least `minP` times as likely as the most likely one still in play. */
export function keepMinP(candidates: Candidates, minP: number): void {
  if (minP === 0) return;
  const { ids, count, mass } = candidates;
  let largest = 0;
  for (let i = 0; i < count; i++) if (mass[ids[i]!]! > largest) largest = mass[ids[i]!]!;
  const least = minP * largest;
  let kept = 0;
  for (let i = 0; i < count; i++) {
    const id = ids[i]!;
    if (mass[id]! >= least) ids[kept++] = id;
  }
  keepFirst(candidates, kept);
}

/** A share of the total in whole units, so that three of ten equal tokens hold 0.3 whatever 0.3 is in binary. */
function share(part: number, total: number): number {
  return Math.max(1, Math.round(part * total));
}
