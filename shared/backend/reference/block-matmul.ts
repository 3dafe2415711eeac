import type { Tensor, Weight } from "../backend.ts";
import { activationsFor } from "./activations.ts";
import { createTensor, dataOf } from "./tensor.ts";

/**
 * y[t, k, o] = Σ_i x[t, k, i] · w[k, i, o] + b[k, o]: one small matrix per block of channels, stored [in, out].
 * Source: BlockDiagonalLinear in recurrentgemma/torch/layers.py
 */
export function blockMatmul(x: Tensor, w: Weight, b: Weight): Tensor {
  const [B, I, O] = w.shape;
  const xs = activationsFor(w, x, I);
  const ws = dataOf(w);
  const bs = dataOf(b);
  const y = createTensor(x.rows, B * O);
  for (let t = 0; t < x.rows; t++) {
    for (let k = 0; k < B; k++) {
      for (let o = 0; o < O; o++) {
        let sum = bs[k * O + o];
        for (let i = 0; i < I; i++) sum += xs[(t * B + k) * I + i] * ws[(k * I + i) * O + o];
        y.data[(t * B + k) * O + o] = sum;
      }
    }
  }
  return y;
}
