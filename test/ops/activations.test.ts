/** What a product with quantised weights makes of its activations, by hand: int8, one scale per 256 of a row, ties to even. */

import { describe, expect, test } from "vitest";
import type { Backend } from "../../shared/backend/backend.ts";
import type { WeightDType } from "../../shared/backend/packed.ts";
import type { WeightRole } from "../../shared/model/weight-table.ts";
import { backends } from "../backends.ts";
import { type Activations, asEmbedding, loadActivations, loadWeight, roomyConfig } from "./conformance.ts";

const TINY = Math.fround(1e-30); // a group with nothing larger counts as zeros

describe.each(backends)("$name", ({ create }) => {
  describe.each(["rg8", "rg4"] as const)("%s", (dtype) => {
    test("max |x| = 127 leaves steps of 1, and halves go to the even neighbour", async () => {
      const x = row(32, { 0: 127, 1: 0.5, 2: 1.5, 3: 2.5, 4: -0.5, 5: -1.5, 6: -2.5, 7: 0.49, 8: 126.51, 9: -127 });
      const y = row(32, { 0: 127, 1: 0, 2: 2, 3: 2, 4: 0, 5: -2, 6: -2, 7: 0, 8: 127, 9: -127 });
      expect(await selected(x, 32)).toStrictEqual(y);
    });

    test("every 256 columns of a row have a scale of their own, the short last group too", async () => {
      const x = row(520, { 0: 127, 255: 1.5, 256: 254, 257: 3, 511: -1, 512: 0, 513: 0.25, 519: 31.75 });
      const y = row(520, { 0: 127, 255: 2, 256: 254, 257: 4, 511: 0, 512: 0, 513: 0.25, 519: 31.75 });
      expect(await selected(x, 520)).toStrictEqual(y);
    });

    test("every row has its own", async () => {
      const x = [...row(32, { 0: 127, 1: 3 }), ...row(32, { 0: -254, 1: 3 }), ...row(32, {})];
      const y = [...row(32, { 0: 127, 1: 3 }), ...row(32, { 0: -254, 1: 4 }), ...row(32, {})];
      expect(await selected(Float32Array.from(x), 32)).toStrictEqual(Float32Array.from(y));
    });

    test("and so has every block of a gate", async () => {
      const x = row(64, { 0: 127, 1: 3, 32: 254, 33: 3 });
      expect(await selected(x, 32)).toStrictEqual(row(64, { 0: 127, 1: 3, 32: 254, 33: 4 }));
      expect(await selected(x, 64)).toStrictEqual(row(64, { 0: 128, 1: 4, 32: 254, 33: 4 }));
      for (const rows of [1, 2]) {
        const twice = rows === 1 ? x : Float32Array.from([...x, ...x]);
        const y = row(64, { 0: 127, 1: 3, 32: 254, 33: 4 });
        expect(await selected(twice, 32, 2)).toStrictEqual(rows === 1 ? y : Float32Array.from([...y, ...y]));
      }
    });

    // The reference compared in f64 with 1e-30, the kernels in f32 with the nearest f32, which is larger.
    test("a group of nothing above 1e-30 is zeros", async () => {
      const found = await selected(Float32Array.from([...row(32, { 0: TINY }), ...row(32, { 0: 1e-29 })]), 32);
      expect(found[0]).toBe(0);
      expect(Math.abs(found[32] / 1e-29 - 1)).toBeLessThan(1e-6);
    });

    /** x [T, blocks · columns] times the identity, whose weights are exact: the activations that the product computed with. */
    async function selected(x: Float32Array, columns: number, blocks = 1): Promise<Float32Array> {
      const shape = blocks === 1 ? [columns, columns] : [blocks, columns, columns];
      const role: WeightRole = blocks === 1 ? "matrix" : "gate";
      const rows = x.length / (blocks * columns);
      const table: Activations = { rows, columns: blocks * columns, values: x };
      const backend: Backend = create({
        weights: [{ role, shape, dtype }, { role: "bias", shape: [table.columns], dtype: "f32" }, asEmbedding(table)],
        config: roomyConfig(Math.max(128, table.columns + (-table.columns & 3))),
        stateLayout: { blocks: [], recurrentBytes: 0, bytes: 0 },
      });
      const w = loadWeight(backend, { role, shape, dtype, values: x }, identity(dtype, columns, blocks));
      const zeros = { role: "bias", shape: [table.columns], dtype: "f32", values: x } as const;
      const b = loadWeight(backend, zeros, new Uint8Array(4 * table.columns));
      const inputs = await loadActivations(backend, table);
      return backend.scope(() => {
        const tensor = backend.embed(inputs, [...Array(rows).keys()], 1);
        return backend.read(blocks === 1 ? backend.matmul(tensor, w, null) : backend.blockMatmul(tensor, w, b));
      });
    }
  });
});

/** A row of zeros but for some columns. */
function row(columns: number, numbers: Record<number, number>): Float32Array {
  const values = new Float32Array(columns);
  for (const [at, x] of Object.entries(numbers)) values[Number(at)] = x;
  return values;
}

/** Block and row scales of 1, ones on the diagonal (layouts: rg8.ts, rg4.ts). */
function identity(dtype: WeightDType & ("rg8" | "rg4"), columns: number, count: number): Uint8Array {
  const blocks = Math.ceil(columns / 32);
  const tiles = Math.ceil(columns / 16);
  const [integerBytes, blockBytes] = dtype === "rg8" ? [512, 528] : [256, 288];
  const bytes = new Uint8Array(count * (tiles * blocks * blockBytes + tiles * 64));
  for (let m = 0; m < count; m++) {
    const matrix = bytes.subarray((m * bytes.length) / count, ((m + 1) * bytes.length) / count);
    for (let at = 0; at < tiles * blocks * blockBytes; at += blockBytes) {
      matrix.fill(dtype === "rg8" ? 0 : 0x88, at, at + integerBytes);
      matrix.fill(1, at + integerBytes, at + blockBytes);
    }
    for (let n = 0; n < columns; n++) {
      const [row, k] = [n & 15, n & 31];
      const block = ((n >> 4) * blocks + (n >> 5)) * blockBytes;
      if (dtype === "rg8") matrix[block + (k >> 2) * 64 + row * 4 + (k & 3)] = 1;
      else matrix[block + (k >> 3) * 64 + row * 4 + (k & 3)] += k & 4 ? 16 : 1;
    }
    new Float32Array(matrix.buffer, matrix.byteOffset + tiles * blocks * blockBytes, tiles * 16).fill(1);
  }
  return bytes;
}
