import type { Tensor, Weight } from "../backend.ts";
import { activationsFor } from "./activations.ts";
import { createTensor, dataOf } from "./tensor.ts";

/** y[t, m] = Σ_n x[t, n] · w[m, n] + b[m].  The sum runs over n in order, in f64, and is rounded to f32 once. */
export function matmul(x: Tensor, w: Weight, b: Weight | null): Tensor {
  const [M, N] = w.shape;
  const xs = activationsFor(w, x, N);
  const ws = dataOf(w);
  const bs = b && dataOf(b);
  const y = createTensor(x.rows, M);
  for (let t = 0; t < x.rows; t++) {
    for (let m = 0; m < M; m++) {
      let sum = bs ? bs[m] : 0;
      for (let n = 0; n < N; n++) sum += xs[t * N + n] * ws[m * N + n];
      y.data[t * M + m] = sum;
    }
  }
  return y;
}
