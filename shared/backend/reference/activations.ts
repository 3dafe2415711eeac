/** What a product with quantised weights makes of its activations: int8 with one scale per group. */

import type { Tensor, Weight } from "../backend.ts";
import { roundToEven } from "../dtype.ts";
import { ACTIVATION_GROUP } from "../packed.ts";
import { dataOf, type ReferenceWeight } from "./tensor.ts";

// A group with nothing larger counts as zeros: its scale's inverse would overflow.
const SMALLEST = Math.fround(1e-30); // in f32, as the kernels compare

/** The numbers that a product with w computes with: x itself, or what its int8 form stands for. Groups begin anew every `period` columns. */
export function activationsFor(w: Weight, x: Tensor, period: number): Float32Array | Float64Array {
  const { dtype } = w as ReferenceWeight;
  const xs = dataOf(x);
  if (dtype === "f32" || dtype === "f16") return xs;
  const rounded = new Float64Array(xs.length);
  for (let start = 0; start < xs.length; start += period) {
    for (let at = start; at < start + period; at += ACTIVATION_GROUP)
      roundGroup(xs.subarray(at, Math.min(at + ACTIVATION_GROUP, start + period)), rounded.subarray(at));
  }
  return rounded;
}

/** scale = max |x| / 127 and q = x · (127 / max |x|), both in f32; q to the nearest integer, ties to even. */
function roundGroup(group: Float32Array, rounded: Float64Array): void {
  const largest = group.reduce((max, x) => Math.max(max, Math.abs(x)), 0);
  const inverse = largest > SMALLEST ? Math.fround(127 / largest) : 0;
  const scale = largest > SMALLEST ? Math.fround(largest / 127) : 0;
  group.forEach((x, at) => {
    rounded[at] = scale * roundToEven(Math.fround(x * inverse));
  });
}
