/** Which candidate does a random number pick? By inverse distribution function: the candidates lie side by side, most
 *  likely first, among equals the lowest id, each as wide as it is likely; the number points to a place among them. */

import type { Candidates } from "./candidates.ts";
import { shortestPrefix } from "./select.ts";

/** `fraction` is uniform in [0, 1). The token is the first in order at which the mass so far exceeds that fraction of
 *  all mass. Reorders the candidates' ids. */
export function draw(candidates: Candidates, fraction: number): number {
  const { ids, count, scaled, mass, total } = candidates;
  const place = Math.min(Math.floor(fraction * total), total - 1); // the product may be rounded up to the total
  return ids[shortestPrefix(ids, count, scaled, mass, place + 1) - 1]!;
}
