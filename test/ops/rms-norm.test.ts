/** RMSNorm: any width, rows of any size, and the row of zeros that eps is for. */

import { test } from "vitest";
import { judge, type OpCase, type Tolerance } from "./conformance.ts";
import { normals, seeded } from "./seeded.ts";

const tolerance: Tolerance = { nmse: 5e-14, reason: "an f32 sum of squares in eight parts: measured 1.3e-14" };

test.each([4, 8, 12, 20, 32, 36, 100, 256, 2560])("width %i", async (D) => {
  const sizes = [1, 1e-8, 1e-3, 1e3, 1e8, 0]; // of the numbers
  await judge(sizes.flatMap((size) => [1e-6, 1e-5].map((eps) => normCase(D, eps, size))));
});

function normCase(D: number, eps: number, size: number): OpCase {
  const seed = D;
  const random = seeded(seed);
  const T = 6;
  return {
    op: "rmsNorm",
    sizes: { T, D, eps, size },
    seed,
    tolerance,
    T,
    inputs: [{ rows: T, columns: D, values: normals(random, T * D, size) }],
    weights: [{ role: "norm", shape: [D], dtype: "f32", values: normals(random, D) }],
    run: ({ backend, x: [x], w: [w] }) => backend.rmsNorm(x, w, eps),
  };
}
