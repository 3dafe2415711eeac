/** Quantisation: how much it loses, that every block's scale is the best one, and what becomes of zeros, spikes and odd sizes. */

import { describe, expect, test } from "vitest";
import { packedBytes, TILE_ROWS, unpack, type WeightDType } from "../../shared/backend/packed.ts";
import { wasmPacker } from "../../shared/backend/wasm/packer.ts";
import type { WeightRole } from "../../shared/model/weight-table.ts";
import { kernelModules, pack } from "./conformance.ts";
import { halves, normals, seeded } from "./seeded.ts";

type Quantised = "rg8" | "rg4";

/** Row scale and largest magnitudes of the integers; 16 rg4 weights, or 32 of rg8, share a block scale. */
const formats = {
  rg8: { most: 127, least: -127, signs: [1], loss: 0.0051, searchGain: 1e-4, rounding: 2e-5 },
  rg4: { most: 7, least: -8, signs: [1, -1], loss: 0.071, searchGain: 1e-3, rounding: 1e-5 },
} as const;

describe.each(["rg8", "rg4"] as const)("%s", (dtype) => {
  const { loss, most, least, signs, searchGain, rounding } = formats[dtype];

  // Measured: rg8 0.0050, rg4 0.0702, of normally distributed weights.
  test("loses little, whatever the weights' size", async () => {
    for (const deviation of [1, 0.02, 1e-20, 1e20]) {
      const values = normals(seeded(1), 64 * 512, deviation);
      expect(relativeError(values, await roundTrip(dtype, 64, 512, values)), `deviation ${deviation}`).toBeLessThan(
        loss,
      );
    }
  });

  // The kernel computes in f32, in units of the row scale: two scales may tie within `rounding`.
  test("every block has the scale of least squared error", async () => {
    const [rows, columns] = [48, 512];
    let [kept, best, negative] = [0, 0, 0];
    const values = normals(seeded(2), rows * columns).map((x, at) => x * (1 + ((at >> 5) % 7) ** 2)); // blocks of many sizes
    const packed = await pack({ role: "matrix", shape: [rows, columns], dtype, values });
    const stored = unpack("matrix", [rows, columns], dtype, packed);
    const rowScales = new Float32Array(packed.slice(-4 * rows).buffer);
    const blocks = [...blocksOf(dtype, rows, columns)];
    for (const { row, at } of blocks) {
      const xs = at.map((i) => values[i] / rowScales[row]);
      const error = at.reduce((sum, i, k) => sum + (xs[k] - stored[i] / rowScales[row]) ** 2, 0);
      const reaching = Math.max(...xs.map(Math.abs)) / most;
      const near = bestError(xs, Math.max(1, Math.floor(reaching * 0.7)), Math.min(127, Math.ceil(reaching * 1.3)));
      expect(error, `row ${row}, columns from ${at[0] % columns}`).toBeLessThanOrEqual(near.error * (1 + rounding));
      kept += error;
      const all = bestError(xs, 1, 127);
      best += all.error;
      if (all.scale < 0) negative++;
    }
    // Beyond ±30 % a better scale is rare: measured 2e-5 of the squared error (rg8), 3e-4 (rg4).
    expect(kept / best - 1).toBeLessThan(searchGain);
    // −8 … 7 fits a block better one way round than the other: both ways are used.
    if (dtype === "rg4") expect(Math.abs(negative / blocks.length - 0.5)).toBeLessThan(0.2);
    else expect(negative).toBe(0);
  });

  function bestError(xs: readonly number[], from: number, to: number): { scale: number; error: number } {
    let best = { scale: 0, error: Number.POSITIVE_INFINITY };
    for (let size = from; size <= to; size++) {
      for (const sign of signs) {
        const scale = sign * size;
        const error = xs.reduce((sum, x) => {
          const integer = Math.max(least, Math.min(most, Math.round(x / scale)));
          return sum + (x - integer * scale) ** 2;
        }, 0);
        if (error < best.error) best = { scale, error };
      }
    }
    return best;
  }

  test("zeros stay zeros: the whole matrix, a row, a block", async () => {
    expect(await roundTrip(dtype, 20, 40, new Float32Array(800))).toStrictEqual(new Float32Array(800));
    const values = normals(seeded(3), 32 * 96);
    values.fill(0, 5 * 96, 6 * 96);
    values.fill(0, 7 * 96 + 32, 7 * 96 + 64);
    const found = await roundTrip(dtype, 32, 96, values);
    expect(found.subarray(5 * 96, 6 * 96).every((x) => x === 0)).toBe(true);
    expect(found.subarray(7 * 96 + 32, 7 * 96 + 64).every((x) => x === 0)).toBe(true);
    expect(relativeError(values, found)).toBeLessThan(2 * loss);
  });

  test.each([1, -1, 1e-30, -1e30])("a row that is one spike of %f keeps it, and nothing else", async (spike) => {
    const values = new Float32Array(17 * 70);
    for (let row = 0; row < 17; row++) values[row * 70 + ((row * 11) % 70)] = spike * (row + 1);
    const found = await roundTrip(dtype, 17, 70, values);
    // Exact but for the row scale's rounding, or an rg4 scale that −8 or 7 steps of just miss.
    for (const [at, x] of found.entries())
      expect(Math.abs(x - values[at])).toBeLessThanOrEqual(Math.abs(values[at]) * 1e-6);
  });

  // 1 / scale overflowed where the scale was subnormal: zeros became NaN on the way, and every other weight as large as the largest.
  test("a row too small for a normal scale is zeros", async () => {
    for (const size of [1e-45, 1e-42, 1e-39, 1e-37, 1e-36]) {
      const values = new Float32Array(40).map((_, at) => (at % 3 === 0 ? 0 : (size * (at % 5)) / 4));
      const found = await roundTrip(dtype, 1, 40, values);
      expect(
        found.every((x) => x === 0),
        `${size}`,
      ).toBe(true);
    }
    const smallest = 2 ** -126 * 127 * most; // whose row scale is the smallest normal number
    const kept = await roundTrip(dtype, 1, 40, new Float32Array(40).fill(smallest));
    expect(kept.every((x) => Math.abs(x / smallest - 1) < 1e-6)).toBe(true);
  });

  test.each([
    [1, 1],
    [1, 31],
    [15, 33],
    [17, 100],
    [33, 255],
  ])("%i × %i: what is missing from tiles and blocks is zeros, and changes nothing", async (rows, columns) => {
    const values = normals(seeded(rows), rows * columns);
    const packed = await pack({ role: "matrix", shape: [rows, columns], dtype, values });
    const [allRows, allColumns] = [Math.ceil(rows / 16) * 16, Math.ceil(columns / 32) * 32];
    const whole = unpack("matrix", [allRows, allColumns], dtype, packed);
    const filled = new Float32Array(allRows * allColumns);
    for (let row = 0; row < rows; row++)
      filled.set(values.subarray(row * columns, (row + 1) * columns), row * allColumns);
    expect(whole.every((x, at) => filled[at] !== 0 || x === 0)).toBe(true);
    expect(await pack({ role: "matrix", shape: [allRows, allColumns], dtype, values: filled })).toStrictEqual(packed);
  });

  test("gives the same bytes every time, from either module", async () => {
    const values = normals(seeded(4), 33 * 100);
    const weight = { role: "matrix", shape: [33, 100], dtype, values } as const;
    expect(await pack(weight)).toStrictEqual(await pack(weight));
    const packers = [kernelModules.baseline, kernelModules.relaxed!].map((baseline) =>
      wasmPacker({ baseline, relaxed: null }, 100),
    );
    for (let row = 0; row < 33; row += TILE_ROWS) {
      const tileRows = values.subarray(row * 100, Math.min(row + TILE_ROWS, 33) * 100);
      const [one, other] = packers.map((packer) => {
        const { tile, rowScales } = packer.packTile(dtype, tileRows, 100);
        return [tile.slice(), rowScales.slice()];
      });
      expect(one).toStrictEqual(other);
    }
  });

  test("the packer keeps nothing of the tile before", async () => {
    const packer = wasmPacker(kernelModules, 64);
    const small = normals(seeded(5), 3 * 33);
    const fresh = wasmPacker(kernelModules, 64).packTile(dtype, small, 33);
    packer.packTile(dtype, normals(seeded(6), 16 * 64, 100), 64);
    const again = packer.packTile(dtype, small, 33);
    expect(again.tile).toStrictEqual(fresh.tile);
    expect(again.rowScales).toStrictEqual(fresh.rowScales);
  });

  test("more rows or columns than the packer was made for are refused", () => {
    const packer = wasmPacker(kernelModules, 32);
    expect(() => packer.packTile(dtype, new Float32Array(33), 33)).toThrow("found 33 numbers in rows of 33");
    expect(() => packer.packTile(dtype, new Float32Array(17 * 32), 32)).toThrow("up to 16 rows of up to 32 columns");
  });
});

describe("f32 and f16 are exact", () => {
  const cases: { role: WeightRole; shape: number[] }[] = [
    { role: "matrix", shape: [1, 1] },
    { role: "matrix", shape: [17, 33] },
    { role: "embedding", shape: [50, 20] },
    { role: "gate", shape: [3, 5, 7] },
    { role: "gate", shape: [2, 16, 16] },
    { role: "conv", shape: [4, 12] },
    { role: "norm", shape: [9] },
  ];
  test.each(cases)("$role $shape", async ({ role, shape }) => {
    const length = shape.reduce((product, side) => product * side, 1);
    const values = halves(seeded(length), length);
    values.set([-0, 2 ** -24, 65504, -(2 ** -14)].slice(0, length));
    expect(await unpacked(role, shape, "f16", values)).toStrictEqual(values);
    values.set([-0, 2 ** -149, 3.4028234663852886e38, 1 / 3].slice(0, length));
    expect(await unpacked(role, shape, "f32", values)).toStrictEqual(values);
  });

  test("f16 rounds to the nearest half, ties to even, and refuses what it has no number for", async () => {
    const values = Float32Array.of(1 + 2 ** -11, 1 + 3 * 2 ** -11, 2 ** -25, 3 * 2 ** -25, 65519, 1e-9);
    const expected = Float32Array.of(1, 1 + 2 ** -9, 0, 2 ** -23, 65504, 0);
    expect(await unpacked("matrix", [2, 3], "f16", values)).toStrictEqual(expected);
    await expect(unpacked("matrix", [1, 1], "f16", Float32Array.of(65520))).rejects.toThrow("beyond f16");
  });
});

async function unpacked(
  role: WeightRole,
  shape: number[],
  dtype: WeightDType,
  values: Float32Array,
): Promise<Float32Array> {
  const packed = await pack({ role, shape, dtype, values });
  expect(packed).toHaveLength(packedBytes(role, shape, dtype));
  return unpack(role, shape, dtype, packed);
}

const roundTrip = (dtype: Quantised, rows: number, columns: number, values: Float32Array): Promise<Float32Array> =>
  unpacked("matrix", [rows, columns], dtype, values);

/** L2 of the differences over L2 of the weights. */
function relativeError(values: Float32Array, found: Float32Array): number {
  const norm = (xs: Float32Array) => Math.hypot(...xs);
  return norm(values.map((x, at) => x - found[at])) / norm(values);
}

/** The weights that share a block scale: 32 of a row, or of those 32 the 16 with k mod 4 in {0, 1} or in {2, 3}. */
function* blocksOf(dtype: Quantised, rows: number, columns: number): Generator<{ row: number; at: number[] }> {
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < columns; k += 32) {
      const all = Array.from({ length: 32 }, (_, i) => row * columns + k + i);
      if (dtype === "rg8") yield { row, at: all };
      else for (const half of [0, 2]) yield { row, at: all.filter((i) => (i & 2) === half) };
    }
  }
}
