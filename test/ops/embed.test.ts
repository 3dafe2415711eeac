/** Rows of a table of every dtype, looked up in any order and scaled. */

import { describe, test } from "vitest";
import type { WeightDType } from "../../shared/backend/packed.ts";
import { judge, type OpCase, type Tolerance } from "./conformance.ts";
import { integers, normals, seeded } from "./seeded.ts";

const EXACT: Tolerance = { nmse: 0, reason: "one f32 product, by a scale that f32 holds" };
const roundedScale: Tolerance = { nmse: 2e-14, reason: "√2560 is rounded to f32: measured 7.6e-15" };
const rescaled: Tolerance = {
  nmse: 2e-14,
  reason: "scale · row scale is rounded before the weight is: measured 8.5e-15",
};

const shapes = [1, 3, 15, 16, 17, 33, 100].flatMap((V) => [1, 4, 31, 32, 33, 96, 257].map((D) => ({ V, D })));

describe.each(["f32", "f16", "rg8", "rg4"] as const)("%s", (dtype) => {
  test.each([1, 50.5, Math.sqrt(2560)])("scale %f", async (scale) => {
    await judge(shapes.map(({ V, D }) => embedCase(dtype, V, D, scale)));
  });
});

function embedCase(dtype: WeightDType, V: number, D: number, scale: number): OpCase {
  const seed = V * 1000 + D;
  const random = seeded(seed);
  const T = 9;
  const tokens = integers(random, T, 0, V - 1);
  const isQuantised = dtype === "rg8" || dtype === "rg4";
  return {
    op: "embed",
    sizes: { dtype, T, V, D, scale },
    seed,
    tolerance: isQuantised ? rescaled : Math.fround(scale) === scale ? EXACT : roundedScale,
    T,
    weights: [{ role: "embedding", shape: [V, D], dtype, values: normals(random, V * D) }],
    run: ({ backend, w: [table], first, count }) => backend.embed(table, tokens.slice(first, first + count), scale),
  };
}
