/** Where weights lie in the wasm backend's memory: every packed byte in one place, and no place taken twice. */

import fc from "fast-check";
import { expect, test } from "vitest";
import { type PackedWeight, packedBytes, weightBytes } from "../../shared/backend/packed.ts";
import { bytesInStreams, matricesOf, places, streamsOf } from "../../shared/backend/wasm/weight-streams.ts";

const side = fc.integer({ min: 1, max: 100 });
const dtype = fc.constantFrom("f32", "f16", "rg8", "rg4");
const weight: fc.Arbitrary<PackedWeight> = fc.oneof(
  fc.record({ role: fc.constant("matrix" as const), shape: fc.tuple(side, side), dtype }),
  fc.record({ role: fc.constant("gate" as const), shape: fc.tuple(fc.integer({ min: 1, max: 4 }), side, side), dtype }),
  fc.record({ role: fc.constant("norm" as const), shape: fc.tuple(side), dtype: fc.constant("f32" as const) }),
);

test("all bytes of all weights have a place of their own, within what was announced", () => {
  fc.assert(
    fc.property(fc.array(weight, { minLength: 1, maxLength: 6 }), (weights) => {
      const announced = streamsOf(weights);
      const secondStart = announced.first;
      let at = { first: 0, second: secondStart };
      const taken: { at: number; bytes: number }[] = [];
      for (const each of weights) {
        const own = [...places(each, at)];
        expect(own.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(packedBytes(each.role, each.shape, each.dtype));
        taken.push(...own);
        const { first, second } = streamsOf([each]);
        at = { first: at.first + first, second: at.second + second };
      }
      taken.sort((a, b) => a.at - b.at);
      for (const [i, { at, bytes }] of taken.entries()) {
        const next = i + 1 < taken.length ? taken[i + 1].at : Number.POSITIVE_INFINITY;
        expect(at + bytes).toBeLessThanOrEqual(at < secondStart ? Math.min(next, secondStart) : next);
      }
      const last = taken[taken.length - 1];
      expect(last.at + last.bytes).toBeLessThanOrEqual(announced.first + announced.second);
      // Each half is aligned by itself, so two halves take up to a line more than the whole.
      expect(announced.first + announced.second).toBeLessThanOrEqual(weightBytes(weights) + 64 * weights.length);
    }),
    { seed: 1, numRuns: 300 },
  );
});

test("the halves of a quantised matrix differ by one tile at most, and what is exact lies in one part", () => {
  const parts = (dtype: PackedWeight["dtype"], rows: number) =>
    matricesOf({ role: "matrix", shape: [rows, 32], dtype }, { first: 0, second: 10_000 })[0].parts;
  expect(parts("rg4", 16)).toStrictEqual([{ at: 0, rowScales: 288, firstRow: 0, rows: 16 }]);
  expect(parts("rg4", 40)).toStrictEqual([
    { at: 0, rowScales: 576, firstRow: 0, rows: 32 },
    { at: 10_000, rowScales: 10_288, firstRow: 32, rows: 8 },
  ]);
  expect(parts("f16", 40).map(({ rows }) => rows)).toStrictEqual([40]);
  expect(bytesInStreams({ role: "norm", shape: [7], dtype: "f32" })).toStrictEqual({ first: 28, second: 0 });
});
