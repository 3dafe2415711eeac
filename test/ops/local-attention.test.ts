/** Local attention: grouped heads, windows shorter and longer than a call, rings that wrap, in every number format of a ring. */

import fc from "fast-check";
import { describe, test } from "vitest";
import { f32ToF16 } from "../../shared/backend/dtype.ts";
import { type RingDType, type RingRegion, stateLayout } from "../../shared/model/state-layout.ts";
import { backends } from "../backends.ts";
import { judge, type OpCase, roomyConfig, type Tolerance } from "./conformance.ts";
import { integers, normals, seeded } from "./seeded.ts";

// Those that are not given a sample of the cases only.
const judgedInFull = backends.filter(({ sample }) => sample === undefined);

const tolerance: Tolerance = {
  nmse: 3e-13,
  reason: "exponentials of 1.1 ULP and f32 sums over the window: measured 8.8e-14",
};

interface AttentionSizes {
  readonly heads: number; // H
  readonly kvHeads: number; // G
  readonly headDim: number; // K
  readonly windowSize: number; // W
  readonly T: number;
}

const shapes: AttentionSizes[] = [
  { heads: 1, kvHeads: 1, headDim: 4, windowSize: 5, T: 17 },
  { heads: 1, kvHeads: 1, headDim: 8, windowSize: 1, T: 6 },
  { heads: 4, kvHeads: 1, headDim: 8, windowSize: 16, T: 9 },
  { heads: 4, kvHeads: 2, headDim: 8, windowSize: 7, T: 20 },
  { heads: 4, kvHeads: 4, headDim: 32, windowSize: 24, T: 30 },
  { heads: 6, kvHeads: 1, headDim: 20, windowSize: 10, T: 33 },
  { heads: 6, kvHeads: 2, headDim: 4, windowSize: 3, T: 12 },
  { heads: 4, kvHeads: 1, headDim: 128, windowSize: 33, T: 40 },
  { heads: 1, kvHeads: 1, headDim: 32, windowSize: 100, T: 20 },
];

describe.each(["f32", "f16", "i8"] as const)("%s ring", (ring) => {
  describe.each([0, 1])("W + %i keys", (extra) => {
    test.each([0, 1, 1_000_003])("from position %i", async (position) => {
      await judge(shapes.map((sizes) => attentionCase(sizes, ring, sizes.windowSize + extra, position)));
    });
  });

  test("any shape, any window, any position", async () => {
    const shape = fc
      .record({
        kvHeads: fc.integer({ min: 1, max: 3 }),
        queries: fc.integer({ min: 1, max: 3 }),
        headDim: fc.integer({ min: 1, max: 9 }).map((n) => 4 * n),
      })
      .map(({ kvHeads, queries, headDim }) => ({ heads: kvHeads * queries, kvHeads, headDim }));
    const window = fc
      .integer({ min: 1, max: 20 })
      .chain((windowSize) =>
        fc.record({ windowSize: fc.constant(windowSize), windowKeys: fc.integer({ min: 1, max: windowSize + 1 }) }),
      );
    const place = fc.record({ T: fc.integer({ min: 1, max: 40 }), position: fc.nat(50) });
    await fc.assert(
      fc.asyncProperty(shape, window, place, async (shape, { windowSize, windowKeys }, { T, position }) =>
        judge([attentionCase({ ...shape, windowSize, T }, ring, windowKeys, position)], judgedInFull),
      ),
      { seed: 1, numRuns: 25 },
    );
  });

  // Zeros of both signs, halves between two numbers of the format, the smallest, the largest, a scale that underflows.
  test("keys and values are rounded as the reference rounds them, to the last bit", async () => {
    await judge(Object.entries(specialRows).map(([name, row]) => roundingCase(name, row, ring)));
  });
});

const specialRows: Record<string, number[]> = {
  zeros: [0, -0, 0, 0],
  halves: [127, 0.5, 1.5, 2.5, -0.5, -1.5, -126.5, 126.5],
  f16: [1 + 2 ** -11, 1 + 3 * 2 ** -11, -(1 + 2 ** -11), 2 - 2 ** -12, 65504, 65519, -65519],
  "f16 subnormals": [2 ** -24, 2 ** -25, 3 * 2 ** -25, -(2 ** -25), 2 ** -14, 2 ** -14 - 2 ** -25],
  "f32 subnormals": [2 ** -149, 3 * 2 ** -149, -(2 ** -140)],
  "a subnormal i8 scale": [2 ** -140, 2 ** -141, 3 * 2 ** -142, -(2 ** -143)],
  large: [6e4, 1e-3, -3e4],
};

/** Every row of values is a rotation of the special one; keys are small, so that every value counts. */
function roundingCase(name: string, row: number[], ring: RingDType): OpCase {
  const [T, K] = [9, 8];
  const plain = attentionCase({ heads: 1, kvHeads: 1, headDim: K, windowSize: 6, T }, ring, 7, 0);
  const special = Float32Array.from({ length: T * K }, (_, at) => row[(at + Math.floor(at / K)) % row.length]);
  const [q] = plain.inputs!;
  const values = { rows: T, columns: K, values: special };
  return {
    ...plain,
    sizes: { ...plain.sizes, row: name },
    isAlwaysJudged: true,
    hasSubnormals: name === "f32 subnormals" || name === "a subnormal i8 scale",
    inputs: [{ ...q, values: q.values.map((x) => x * 1e-6) }, values, values],
  };
}

function attentionCase(sizes: AttentionSizes, ring: RingDType, windowKeys: number, position: number): OpCase {
  const { heads, kvHeads, headDim, windowSize, T } = sizes;
  const seed = heads * 1000 + windowSize;
  const random = seeded(seed);
  const config = roomyConfig(heads * headDim);
  const layout = stateLayout({ ...config, heads, kvHeads, headDim, windowSize, mixers: ["local-attention"] }, ring);
  const [block] = layout.blocks;
  if (block.kind !== "local-attention") throw new TypeError(block.kind);
  const bytes = new Uint8Array(layout.bytes);
  if (position > 0) for (const region of [block.keys, block.values]) fillRing(bytes, region, random);
  const rows = (columns: number, deviation: number) => ({
    rows: T,
    columns,
    values: normals(random, T * columns, deviation),
  });
  return {
    op: "localAttention",
    sizes: { ...sizes, ring, windowKeys, position },
    seed,
    tolerance,
    T,
    // Scores of several units: a few keys have most of the weight, and which ones they are shows.
    inputs: [rows(heads * headDim, 3), rows(kvHeads * headDim, 1), rows(kvHeads * headDim, 1)],
    state: { layout, position, bytes },
    run: ({ backend, x: [q, k, v], state }) =>
      backend.localAttention({ q, k, v, shape: sizes, windowKeys, state, keys: block.keys, values: block.values }),
  };
}

/** Earlier keys or values, as if they had been stored. */
function fillRing({ buffer }: Uint8Array<ArrayBuffer>, { rows, scales }: RingRegion, random: () => number): void {
  const length = rows.shape.reduce((product, side) => product * side, 1);
  const numbers = normals(random, length);
  if (rows.dtype === "f32") new Float32Array(buffer, rows.offsetBytes, length).set(numbers);
  if (rows.dtype === "f16") new Uint16Array(buffer, rows.offsetBytes, length).set(Uint16Array.from(numbers, f32ToF16));
  if (rows.dtype === "i8") new Int8Array(buffer, rows.offsetBytes, length).set(integers(random, length, -127, 127));
  if (scales)
    new Float32Array(buffer, scales.offsetBytes, scales.bytes / 4).set(
      normals(random, scales.bytes / 4, 0.03).map(Math.abs),
    );
}
