import type { AttentionCall, Tensor } from "../backend.ts";
import { openRing } from "./ring.ts";
import { createTensor, dataOf } from "./tensor.ts";

/**
 * out[t, h] = Σ_p softmax_p(q[t, h] · k[p, g] / √K) · v[p, g] over positions p = max(0, P − windowKeys + 1) … P, where
 * P = position + t and g = ⌊h · G / H⌋.  Sums run over p in ascending order, in f64.
 * Source: LocalAttentionBlock in recurrentgemma/torch/modules.py (its mask: k ≤ q and q − k ≤ window)
 */
export function localAttention({ q, k, v, shape, windowKeys, state, keys, values }: AttentionCall): Tensor {
  const { heads, kvHeads, headDim } = shape;
  const keyRing = openRing(state, keys);
  const valueRing = openRing(state, values);
  const qs = dataOf(q);
  const out = createTensor(q.rows, q.columns);
  for (let t = 0; t < q.rows; t++) {
    const position = state.position + t;
    const oldest = Math.max(0, position - windowKeys + 1);
    const earlier = Array.from({ length: position - oldest }, (_, at) => oldest + at);
    const ownKey = rowOf(k, t);
    const ownValue = rowOf(v, t);
    // A ring of W rows holds the W positions before this token. Its own row is stored after it has been attended to, for
    // it may take the place of the oldest key that this query still sees.
    const windowKeyRows = [...earlier.map(keyRing.load), keyRing.round(ownKey)];
    const windowValueRows = [...earlier.map(valueRing.load), valueRing.round(ownValue)];
    for (let h = 0; h < heads; h++) {
      const at = t * q.columns + h * headDim;
      const kvAt = Math.floor((h * kvHeads) / heads) * headDim;
      const weights = softmax(windowKeyRows.map((key) => dot(qs, at, key, kvAt, headDim) / Math.sqrt(headDim)));
      for (let d = 0; d < headDim; d++) {
        let sum = 0;
        for (let p = 0; p < weights.length; p++) sum += weights[p] * windowValueRows[p][kvAt + d];
        out.data[at + d] = sum;
      }
    }
    keyRing.store(position, ownKey);
    valueRing.store(position, ownValue);
  }
  return out;
}

const rowOf = (x: Tensor, t: number): Float32Array => dataOf(x).subarray(t * x.columns, (t + 1) * x.columns);

function dot(a: Float32Array, atA: number, b: Float32Array, atB: number, length: number): number {
  let sum = 0;
  for (let d = 0; d < length; d++) sum += a[atA + d] * b[atB + d];
  return sum;
}

function softmax(scores: number[]): number[] {
  const max = scores.reduce((a, b) => Math.max(a, b));
  const exps = scores.map((score) => Math.exp(score - max));
  const total = exps.reduce((a, b) => a + b);
  return exps.map((exp) => exp / total);
}
