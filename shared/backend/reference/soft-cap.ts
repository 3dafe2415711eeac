import type { Tensor } from "../backend.ts";
import { dataOf } from "./tensor.ts";

/** x ← cap · tanh(x / cap), in place.  Source: Griffin.forward in recurrentgemma/torch/griffin.py */
export function softCap(x: Tensor, cap: number): void {
  const xs = dataOf(x);
  for (let at = 0; at < xs.length; at++) xs[at] = cap * Math.tanh(xs[at] / cap);
}
