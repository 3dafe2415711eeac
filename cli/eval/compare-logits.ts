/** Two models' predictions at the same places: KL divergence, agreement, and how well each predicts the next token. */

/** Sums over tokens. */
export interface Comparison {
  tokens: number;
  /** Σ KL(right ‖ found), in nats. */
  kl: number;
  /** Places at which both find the same token most likely. */
  agreements: number;
  /** Σ −log p(next token), of the model under test and of the right one. */
  nll: number;
  rightNll: number;
}

/** Adds to `sum` the given places of one stretch: by default all whose next token is known, all but the last. Logits [T · V]. */
export function compareLogits(
  found: Float32Array,
  right: Float32Array,
  ids: readonly number[],
  V: number,
  sum: Comparison,
  places: Iterable<number> = ids.slice(1).keys(),
): void {
  for (const t of places) {
    const p = right.subarray(t * V, (t + 1) * V);
    const q = found.subarray(t * V, (t + 1) * V);
    const [logSumP, logSumQ] = [logSumExp(p), logSumExp(q)];
    let kl = 0;
    for (let v = 0; v < V; v++) {
      const logP = p[v] - logSumP;
      kl += Math.exp(logP) * (logP - (q[v] - logSumQ));
    }
    sum.kl += kl;
    sum.agreements += indexOfLargest(p) === indexOfLargest(q) ? 1 : 0;
    sum.nll += logSumQ - q[ids[t + 1]];
    sum.rightNll += logSumP - p[ids[t + 1]];
    sum.tokens++;
  }
}

function logSumExp(x: Float32Array): number {
  const largest = x[indexOfLargest(x)];
  let sum = 0;
  for (const value of x) sum += Math.exp(value - largest);
  return largest + Math.log(sum);
}

function indexOfLargest(x: Float32Array): number {
  let best = 0;
  for (let i = 1; i < x.length; i++) if (x[i] > x[best]) best = i;
  return best;
}
