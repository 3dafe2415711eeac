/** cap · tanh(x / cap), over any number of numbers, far below the cap and far beyond it, and over what is no number. */

import { expect, test } from "vitest";
import { backends } from "../backends.ts";
import {
  type Activations,
  asEmbedding,
  judge,
  loadActivations,
  type OpCase,
  roomyConfig,
  type Tolerance,
} from "./conformance.ts";
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

// On a GPU it became 0, the middle of the range, and the likeliest token was whatever else there was.
test.each(backends)("what is no number stays none: $name", async ({ create }) => {
  const values = Float32Array.of(1, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY);
  const x: Activations = { rows: 1, columns: values.length, values };
  const backend = create(
    {
      weights: [asEmbedding(x)],
      config: roomyConfig(8),
      stateLayout: { blocks: [], recurrentBytes: 0, bytes: 0 },
    },
    1,
  );
  const table = await loadActivations(backend, x);
  const capped = await backend.scope(() => {
    const row = backend.embed(table, [0], 1);
    backend.softCap(row, 30);
    return backend.read(row);
  });
  expect([...capped.slice(1)]).toStrictEqual([Number.NaN, 30, -30]);
});
