import type { Tensor, Weight } from "../backend.ts";
import { createTensor, dataOf } from "./tensor.ts";

/** y = x · (mean(x²) + eps)^−½ · (1 + w): the weight is stored zero-centred.  Source: RMSNorm in recurrentgemma/torch/layers.py */
export function rmsNorm(x: Tensor, w: Weight, eps: number): Tensor {
  const D = x.columns;
  const xs = dataOf(x);
  const ws = dataOf(w);
  const y = createTensor(x.rows, D);
  for (let row = 0; row < xs.length; row += D) {
    let squares = 0;
    for (let d = 0; d < D; d++) squares += xs[row + d] * xs[row + d];
    const scale = 1 / Math.sqrt(squares / D + eps);
    for (let d = 0; d < D; d++) y.data[row + d] = xs[row + d] * scale * (1 + ws[d]);
  }
  return y;
}
