/** The largest numbers of each row, in order: rows of one chunk and of many, and equal numbers. */

import { describe, expect, test } from "vitest";
import { type Largest, NO_COLUMN } from "../../shared/backend/backend.ts";
import { type BackendUnderTest, backends, webgpu } from "../backends.ts";
import { type Activations, asEmbedding, countFrom, loadActivations, roomyConfig } from "./conformance.ts";
import { integers, normals, seeded } from "./seeded.ts";

const rows = 2;

// The wasm backend has no such verb: its logits need not travel.
describe.skipIf(webgpu.length === 0)("on a GPU", () => {
  describe.each(webgpu)("$name", ({ create }) => {
    // Around a workgroup's 4096 columns, and so many that what it finds fills more than one again.
    test.each([1, 7, 64, 4095, 4096, 4097, 270_000])("of %i columns", async (columns) => {
      const isLarge = columns > 100_000; // once is enough: a software adapter takes seconds for it
      for (const kind of isLarge ? (["different"] as const) : (["different", "equal"] as const)) {
        const random = seeded(columns);
        const values =
          kind === "different"
            ? normals(random, rows * columns)
            : Float32Array.from(integers(random, rows * columns, -3, 3));
        const counts = (isLarge ? [64] : [1, 5, 64]).filter((count) => count <= columns);
        const [expected, found] = await Promise.all(
          [backends[0].create, create].map((made) => largestOf({ rows, columns, values }, counts, made)),
        );
        expect(found, kind).toStrictEqual(expected);
      }
    });

    // A maximum that skips NaN told of a likeliest token where sampling from all logits refuses the row.
    test.each([7, 4096, 4097, 9000])(
      "NaN or Infinity among %i columns is told, -Infinity is a number",
      async (columns) => {
        const numbers = normals(seeded(columns), columns);
        const withAt = (at: number, ...wrong: number[]) => {
          const row = numbers.slice();
          row.set(wrong, at);
          return row;
        };
        const mostlyBanned = new Float32Array(columns).fill(Number.NEGATIVE_INFINITY);
        mostlyBanned.set([1, -3.4e38], columns - 3);
        const table = [
          numbers,
          withAt(0, Number.NaN),
          withAt(columns - 1, Number.NaN),
          withAt(columns >> 1, Number.POSITIVE_INFINITY),
          withAt(3, Number.NEGATIVE_INFINITY, Number.NaN),
          withAt(1, 3.4028234663852886e38),
          mostlyBanned,
          new Float32Array(columns).fill(Number.NEGATIVE_INFINITY),
        ];
        const values = Float32Array.from(table.flatMap((row) => [...row]));
        const counts = [1, 5, 64].filter((count) => count <= columns);
        const [expected, found] = await Promise.all(
          [backends[0].create, create].map((made) => largestOf({ rows: table.length, columns, values }, counts, made)),
        );
        expect(found).toStrictEqual(expected);
        const columnsOf = (row: number) => [...(expected[0] as Largest).columns.slice(row, row + 1)];
        expect([1, 2, 3, 4].flatMap(columnsOf)).toStrictEqual(Array(4).fill(NO_COLUMN));
        expect([5, 6, 7].flatMap(columnsOf)).toStrictEqual([1, columns - 3, 0]);
      },
    );
  });
});

async function largestOf(x: Activations, counts: number[], create: BackendUnderTest["create"]): Promise<unknown[]> {
  const backend = create(
    {
      weights: [asEmbedding(x)],
      config: roomyConfig(Math.ceil(x.columns / 4) * 4),
      stateLayout: { blocks: [], recurrentBytes: 0, bytes: 0 },
    },
    x.rows,
  );
  const table = await loadActivations(backend, x);
  return backend.scope(() => {
    const tensor = backend.embed(table, countFrom(0, x.rows), 1);
    return Promise.all(counts.map((count) => backend.largest?.(tensor, count)));
  });
}
