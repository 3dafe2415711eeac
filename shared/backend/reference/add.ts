import type { Tensor } from "../backend.ts";
import { dataOf } from "./tensor.ts";

/** x += y, in place. */
export function add(x: Tensor, y: Tensor): void {
  const xs = dataOf(x);
  const ys = dataOf(y);
  for (let at = 0; at < xs.length; at++) xs[at] += ys[at];
}
