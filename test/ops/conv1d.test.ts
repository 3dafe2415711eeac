/** The short convolution: calls shorter and longer than its memory, from a fresh state and from a used one. */

import { describe, test } from "vitest";
import { stateLayout } from "../../shared/model/state-layout.ts";
import { judge, type OpCase, roomyConfig, type Tolerance } from "./conformance.ts";
import { normals, seeded } from "./seeded.ts";

const tolerance: Tolerance = { nmse: 3e-14, reason: "f32 sums of up to 5 products: measured 7.8e-15" };

describe.each([1, 2, 3, 4, 5])("%i taps", (taps) => {
  test.each([4, 12, 48, 256])("width %i", async (E) => {
    await judge([1, 2, 3, 4, 5, 16].flatMap((T) => [convCase(taps, E, T, 0), convCase(taps, E, T, 1000)]));
  });
});

function convCase(taps: number, E: number, T: number, position: number): OpCase {
  const seed = taps * 10_000 + E * 10 + T;
  const random = seeded(seed);
  const layout = stateLayout({ ...roomyConfig(E), convWidth: taps, lruWidth: E, mixers: ["rg-lru"] });
  const [block] = layout.blocks;
  if (block.kind !== "rg-lru") throw new TypeError(block.kind);
  const bytes = new Uint8Array(layout.bytes);
  if (position > 0)
    new Float32Array(bytes.buffer, block.conv.offsetBytes, (taps - 1) * E).set(normals(random, (taps - 1) * E));
  return {
    op: "conv1d",
    sizes: { T, E, taps, position },
    seed,
    tolerance,
    T,
    inputs: [{ rows: T, columns: E, values: normals(random, T * E) }],
    weights: [
      { role: "conv", shape: [taps, E], dtype: "f32", values: normals(random, taps * E) },
      { role: "bias", shape: [E], dtype: "f32", values: normals(random, E) },
    ],
    state: { layout, position, bytes },
    run: ({ backend, x: [x], w: [w, b], state }) => backend.conv1d(x, w, b, state, block.conv),
  };
}
