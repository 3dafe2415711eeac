/** x Wᵀ + b in every dtype, at the edges of tiles (16 rows), blocks (32 columns) and activation groups (256 columns). */

import { describe, test } from "vitest";
import type { WeightDType } from "../../shared/backend/packed.ts";
import { judge, MAX_TOKENS, type OpCase, type Tolerance } from "./conformance.ts";
import { normals, seeded } from "./seeded.ts";

const rowCounts = [1, 3, 15, 16, 17, 33, 100]; // M
const columnCounts = [1, 31, 32, 33, 64, 96, 160, 255, 256, 257, 288, 512, 768]; // N

const inF32: Tolerance = { nmse: 1e-12, reason: "f32 sums of up to 768 products: measured 3.3e-13" };
const inIntegers: Tolerance = {
  nmse: 5e-14,
  reason: "exact integers and a few f32 roundings: measured 6.9e-15; 32 f32 parts of a GPU's workgroup: 2.6e-14",
};
const tolerances: Record<WeightDType, Tolerance> = { f32: inF32, f16: inF32, rg8: inIntegers, rg4: inIntegers };

describe.each(["f32", "f16", "rg8", "rg4"] as const)("%s", (dtype) => {
  test.each(rowCounts)("%i rows", async (M) => {
    await judge(columnCounts.flatMap((N) => [matmulCase(dtype, M, N, false), matmulCase(dtype, M, N, true)]));
  });
});

// The two formats read different int8 forms of the same activations, and the wasm backend keeps both.
test("one tensor through matrices of every format", async () => {
  const cases = (["rg8", "rg4", "rg8", "f32"] as const).map((dtype) => matmulCase(dtype, 33, 96, false));
  await judge([
    {
      ...cases[0],
      sizes: { dtypes: "rg8 rg4 rg8 f32", M: 33, N: 96 },
      tolerance: inF32,
      weights: cases.map(({ weights }) => weights![0]),
      run({ backend, x: [x], w }) {
        const [sum, ...others] = w.map((matrix) => backend.matmul(x, matrix, null));
        for (const other of others) backend.add(sum, other);
        return sum;
      },
    },
  ]);
});

function matmulCase(dtype: WeightDType, M: number, N: number, bias: boolean): OpCase {
  const seed = M * 1000 + N;
  const random = seeded(seed);
  const T = MAX_TOKENS;
  return {
    op: "matmul",
    sizes: { dtype, T, M, N, bias },
    seed,
    tolerance: tolerances[dtype],
    T,
    inputs: [{ rows: T, columns: N, values: normals(random, T * N) }],
    weights: [
      { role: "matrix", shape: [M, N], dtype, values: normals(random, M * N, N ** -0.5) },
      { role: "bias", shape: [M], dtype: "f32", values: normals(random, M) },
    ],
    run: ({ backend, x: [x], w: [w, b] }) => backend.matmul(x, w, bias ? b : null),
  };
}
