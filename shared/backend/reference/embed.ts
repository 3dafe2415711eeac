import type { Tensor, Weight } from "../backend.ts";
import { createTensor, dataOf } from "./tensor.ts";

/** x[t, d] = scale · table[token_t, d].  Source: Embedder.encode in recurrentgemma/torch/modules.py */
export function embed(table: Weight, tokens: readonly number[], scale: number): Tensor {
  const [, D] = table.shape;
  const rows = dataOf(table);
  const x = createTensor(tokens.length, D);
  for (let t = 0; t < tokens.length; t++) {
    for (let d = 0; d < D; d++) x.data[t * D + d] = scale * rows[tokens[t] * D + d];
  }
  return x;
}
