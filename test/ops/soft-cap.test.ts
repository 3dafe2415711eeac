/** cap · tanh(x / cap), over any number of numbers, far below the cap and far beyond it. */

import { test } from "vitest";
import { judge, type OpCase, type Tolerance } from "./conformance.ts";
import { normals, seeded } from "./seeded.ts";

const tolerance: Tolerance = { nmse: 6e-14, reason: "a tanh of 2.6 ULP (vector-math.test.ts): measured 2.1e-14" };

test.each([1, 2, 3, 5, 7, 32, 33, 100])("%i columns", async (columns) => {
  const sizes = [1e-6, 1, 30, 1e4]; // of the numbers
  await judge(
    [1, 3, 4, 16].flatMap((T) => sizes.flatMap((size) => [30, 0.5].map((cap) => capCase(T, columns, cap, size)))),
  );
});

function capCase(T: number, columns: number, cap: number, size: number): OpCase {
  const seed = T * 1000 + columns;
  const random = seeded(seed);
  return {
    op: "softCap",
    sizes: { T, columns, cap, size },
    seed,
    tolerance,
    T,
    inputs: [{ rows: T, columns, values: normals(random, T * columns, size) }],
    run({ backend, x: [x] }) {
      backend.softCap(x, cap);
      return x;
    },
  };
}
