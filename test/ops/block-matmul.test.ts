/** The block-diagonal gates in every dtype: one stream of matrices for a token, a product per block for several. */

import { describe, test } from "vitest";
import type { WeightDType } from "../../shared/backend/packed.ts";
import { judge, type OpCase, type Tolerance } from "./conformance.ts";
import { normals, seeded } from "./seeded.ts";

const inF32: Tolerance = { nmse: 2e-13, reason: "f32 sums of up to 288 products: measured 5.1e-14" };
const inIntegers: Tolerance = { nmse: 1e-14, reason: "exact integers and a few f32 roundings: measured 2.8e-15" };
const tolerances: Record<WeightDType, Tolerance> = { f32: inF32, f16: inF32, rg8: inIntegers, rg4: inIntegers };

// [in, out] that quantisation blocks (32), tiles (16) and groups (256) divide, and some that they don't.
const exactSides = [[1, 1], [6, 6], [16, 16], [20, 20], [32, 32], [33, 17], [64, 64], [128, 128], [256, 256], [288, 288]]; // biome-ignore format: a table
const quantisedSides = [[20, 20], [32, 32], [32, 17], [33, 64], [48, 48], [64, 64], [128, 128], [256, 256], [288, 288]]; // biome-ignore format: a table

describe.each(["f32", "f16", "rg8", "rg4"] as const)("%s", (dtype) => {
  const isQuantised = dtype === "rg8" || dtype === "rg4";
  test.each([1, 4, 8])("%i blocks", async (B) => {
    await judge((isQuantised ? quantisedSides : exactSides).map(([I, O]) => gateCase(dtype, B, I, O)));
  });
});

function gateCase(dtype: WeightDType, B: number, I: number, O: number): OpCase {
  const seed = B * 1000 + I;
  const random = seeded(seed);
  const T = I > 128 ? 5 : 24;
  return {
    op: "blockMatmul",
    sizes: { dtype, T, B, I, O },
    seed,
    tolerance: tolerances[dtype],
    T,
    inputs: [{ rows: T, columns: B * I, values: normals(random, T * B * I) }],
    weights: [
      { role: "gate", shape: [B, I, O], dtype, values: normals(random, B * I * O, I ** -0.5) },
      { role: "bias", shape: [B * O], dtype: "f32", values: normals(random, B * O) },
    ],
    run: ({ backend, x: [x], w: [w, b] }) => backend.blockMatmul(x, w, b),
  };
}
