/** How likely the model itself found a token: log-softmax of the logits as the model gave them, before penalties,
 *  biases, temperature and filters (vLLM's "raw logprobs"). Natural logarithms. */

export interface TokenLogprob {
  readonly token: number;
  readonly logprob: number;
}

/** log Σ exp(logits), with which a token's log-probability is logits[token] − logNormalizer. */
export function logNormalizer(logits: Float32Array): number {
  let largest = -Infinity;
  for (let id = 0; id < logits.length; id++) if (logits[id]! > largest) largest = logits[id]!;
  let sum = 0;
  for (let id = 0; id < logits.length; id++) sum += Math.exp(logits[id]! - largest);
  return largest + Math.log(sum);
}

/** The `count` most likely tokens, most likely first, equals by lower id. Banned tokens (−Infinity) are left out, so
 *  there can be fewer. One pass, made for small counts: each new entry is inserted into the sorted list. */
export function mostLikely(logits: Float32Array, count: number, normalizer: number): TokenLogprob[] {
  const best: number[] = [];
  if (count === 0) return [];
  let bar = -Infinity; // a logit must exceed it to get in
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (!(logit > bar)) continue;
    let place = best.length;
    while (place > 0 && logits[best[place - 1]!]! < logit) place--;
    best.splice(place, 0, id);
    if (best.length > count) best.pop();
    if (best.length === count) bar = logits[best[count - 1]!]!;
  }
  return best.map((token) => ({ token, logprob: logits[token]! - normalizer }));
}
