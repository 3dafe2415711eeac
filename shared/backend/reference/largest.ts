import { type Largest, NO_COLUMN, type Tensor } from "../backend.ts";
import { dataOf } from "./tensor.ts";

/** Each row's `count` largest numbers and where they stand, from the largest on; among equals the lowest column comes first. None: NO_COLUMN. */
export async function largest(x: Tensor, count: number): Promise<Largest> {
  const xs = dataOf(x);
  const columns: number[] = [];
  for (let row = 0; row < xs.length; row += x.columns) {
    if (!xs.subarray(row, row + x.columns).every((value) => value < Number.POSITIVE_INFINITY)) {
      columns.push(...Array<number>(count).fill(NO_COLUMN));
      continue;
    }
    const order = Array.from({ length: x.columns }, (_, at) => at);
    order.sort((a, b) => xs[row + b] - xs[row + a] || a - b);
    columns.push(...order.slice(0, count));
  }
  const values = columns.map((column, at) =>
    column === NO_COLUMN ? Number.NaN : xs[Math.floor(at / count) * x.columns + column],
  );
  return { columns: Uint32Array.from(columns), values: Float32Array.from(values) };
}
