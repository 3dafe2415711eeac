/** activation(gate) ⊙ x: both activations, over any number of numbers and gates of any size. */

import { describe, test } from "vitest";
import { judge, type OpCase, type Tolerance } from "./conformance.ts";
import { normals, seeded } from "./seeded.ts";

const tolerance: Tolerance = {
  nmse: 2e-13,
  reason: "a GELU of up to 15 ULP (vector-math.test.ts): measured 6.9e-14, SiLU 1.1e-14",
};

const special = [0, -0, 1e-30, -1e-30, 50, -50, 1e4, -1e4];

describe.each(["gelu-tanh", "silu"] as const)("%s", (activation) => {
  test.each([1, 2, 3, 5, 7, 32, 33, 100])("%i columns", async (columns) => {
    await judge(
      [1, 2, 3, 4, 5, 16].flatMap((T) => [productCase(T, columns, "ordinary"), productCase(T, columns, "special")]),
    );
  });

  function productCase(T: number, columns: number, gates: "ordinary" | "special"): OpCase {
    const seed = T * 1000 + columns;
    const random = seeded(seed);
    const n = T * columns;
    const gate = gates === "ordinary" ? normals(random, n, 4) : normals(random, n).map((_, at) => special[at & 7]);
    return {
      op: "gatedProduct",
      sizes: { activation, T, columns, gates },
      seed,
      tolerance,
      T,
      inputs: [gate, normals(random, n)].map((values) => ({ rows: T, columns, values })),
      run: ({ backend, x: [gate, x] }) => backend.gatedProduct(activation, gate, x),
    };
  }
});
