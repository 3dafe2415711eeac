import type { Largest, Tensor } from "../backend.ts";
import { dataOf } from "./tensor.ts";

/** Each row's `count` largest numbers and where they stand, from the largest on; among equals the lowest column comes first. */
export async function largest(x: Tensor, count: number): Promise<Largest> {
  const xs = dataOf(x);
  const columns: number[] = [];
  for (let row = 0; row < xs.length; row += x.columns) {
    const order = Array.from({ length: x.columns }, (_, at) => at);
    order.sort((a, b) => xs[row + b] - xs[row + a] || a - b);
    columns.push(...order.slice(0, count));
  }
  const values = columns.map((column, at) => xs[Math.floor(at / count) * x.columns + column]);
  return { columns: Uint32Array.from(columns), values: Float32Array.from(values) };
}
