/** Rotary positions: all of a head, half, a quarter or none of it, at positions where f32 angles would be wrong. */

import { describe, test } from "vitest";
import { judge, type OpCase, type Tolerance } from "./conformance.ts";
import { normals, seeded } from "./seeded.ts";

const tolerance: Tolerance = { nmse: 2e-14, reason: "sine and cosine rounded to f32: measured 3.8e-15" };

describe.each([0, 1, 1e5, 1e6])("position %i", (position) => {
  test.each([8, 32, 128])("heads of %i dimensions", async (K) => {
    const shares = [1, 0.5, 0.25, 0];
    await judge(
      shares.flatMap((share) =>
        [1, 3].flatMap((heads) => [1e4, 500].map((theta) => ropeCase(K, K * share, heads, theta, position))),
      ),
    );
  });
});

// The wasm backend keeps a table of angles for the layers that share them.
test("rotations that differ in base, dimensions or heads, one after the other", async () => {
  const plain = ropeCase(32, 32, 2, 1e4, 77);
  await judge([
    {
      ...plain,
      sizes: { ...plain.sizes, rotations: 4 },
      run({ backend, x: [x], state }) {
        backend.rope(x, 32, { theta: 1e4, dims: 32 }, state);
        backend.rope(x, 32, { theta: 500, dims: 32 }, state);
        backend.rope(x, 32, { theta: 500, dims: 16 }, state);
        backend.rope(x, 16, { theta: 500, dims: 16 }, state);
        return x;
      },
    },
  ]);
});

function ropeCase(K: number, dims: number, heads: number, theta: number, position: number): OpCase {
  const seed = K + dims;
  const random = seeded(seed);
  const T = 12;
  return {
    op: "rope",
    sizes: { T, heads, K, dims, theta, position },
    seed,
    tolerance: dims === 0 ? { nmse: 0, reason: "nothing rotates" } : tolerance,
    T,
    inputs: [{ rows: T, columns: heads * K, values: normals(random, T * heads * K) }],
    state: { layout: { blocks: [], recurrentBytes: 0, bytes: 0 }, position, bytes: new Uint8Array() },
    run({ backend, x: [x], state }) {
      backend.rope(x, K, { theta, dims }, state);
      return x;
    },
  };
}
