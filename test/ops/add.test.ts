/** x += y, over any number of numbers. */

import { test } from "vitest";
import { judge, type OpCase } from "./conformance.ts";
import { normals, seeded } from "./seeded.ts";

test.each([1, 2, 3, 5, 7, 32, 33, 100])("%i columns", async (columns) => {
  await judge([1, 2, 3, 4, 5, 16].map((T) => addCase(T, columns)));
});

function addCase(T: number, columns: number): OpCase {
  const seed = T * 1000 + columns;
  const random = seeded(seed);
  return {
    op: "add",
    sizes: { T, columns },
    seed,
    tolerance: { nmse: 0, reason: "an f32 sum is rounded once" },
    T,
    inputs: [1, 1e3].map((deviation) => ({ rows: T, columns, values: normals(random, T * columns, deviation) })),
    run({ backend, x: [x, y] }) {
      backend.add(x, y);
      return x;
    },
  };
}
