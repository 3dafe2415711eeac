/** States in parts: cut at any positions along any branches, pasted together again, byte for byte. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { droppable } from "../../shared/conversation/retention.ts";
import {
  cutRecurrent,
  cutSegment,
  PART_BYTES,
  pasteSegment,
  planSegments,
  ringShape,
  type Segment,
} from "../../shared/conversation/state-parts.ts";
import { parseHfConfig } from "../../shared/model/hf-config.ts";
import { presets } from "../../shared/model/presets.ts";
import { type RingDType, stateLayout } from "../../shared/model/state-layout.ts";
import { smallHfConfig } from "../model/random-model.ts";

const rings: RingDType[] = ["f32", "f16", "i8"];

/** A state whose every ring row says which position wrote it, on which branch. */
function writePositions(
  state: Uint8Array,
  shape: ReturnType<typeof ringShape>,
  from: number,
  to: number,
  branch: number,
) {
  for (let position = from; position < to; position++) {
    for (const [at, region] of shape.regions.entries()) {
      const row = region.bytes / shape.window;
      const start = region.offsetBytes + (position % shape.window) * row;
      for (let byte = 0; byte < row; byte++)
        state[start + byte] = (position * 31 + at * 7 + byte + branch * 101) & 0xff;
    }
  }
}

describe.each(rings)("a ring of %s", (ring) => {
  const layout = stateLayout(parseHfConfig(smallHfConfig), ring);
  const shape = ringShape(layout);

  test("any chain of turns is restored exactly, and shares its full segments", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 3 * shape.window }), { minLength: 1, maxLength: 12 }), (turns) => {
        const state = new Uint8Array(layout.bytes);
        const rows = new Map<Segment, Uint8Array>();
        let there: Segment[] = [];
        let position = 0;
        for (const [branch, length] of turns.entries()) {
          writePositions(state, shape, position, position + length, branch);
          position += length;
          const { keep, cut } = planSegments(shape, position, there);
          for (const segment of cut) rows.set(segment, cutSegment(shape, state, segment));
          there = [...keep, ...cut];
          const joined = new Uint8Array(layout.bytes);
          for (const segment of there) pasteSegment(shape, joined, position, segment, rows.get(segment) as Uint8Array);
          expect(joined.subarray(layout.recurrentBytes)).toStrictEqual(state.subarray(layout.recurrentBytes));
          // What is written anew is what is new, the newest segment from its beginning.
          const written = cut.reduce((sum, { positions }) => sum + positions, 0);
          expect(written).toBeLessThanOrEqual(Math.min(length, shape.window) + shape.segmentPositions);
        }
      }),
      { numRuns: 200 },
    );
  });

  test("a segment of another size is refused with both sizes", () => {
    const bytes = new Uint8Array(3);
    expect(() => pasteSegment(shape, new Uint8Array(layout.bytes), 2, { start: 0, positions: 2 }, bytes)).toThrow(
      `a segment of 2 positions has ${2 * shape.bytesPerPosition} bytes, found 3`,
    );
  });
});

test.each(Object.entries(presets))("no part of %s is larger than a row may be", (_, config) => {
  for (const ring of rings) {
    const layout = stateLayout(config, ring);
    const shape = ringShape(layout);
    expect(shape.segmentPositions * shape.bytesPerPosition).toBeLessThanOrEqual(PART_BYTES);
    const pieces = cutRecurrent(layout, new Uint8Array(layout.bytes));
    expect(pieces.reduce((sum, { length }) => sum + length, 0)).toBe(layout.recurrentBytes);
    expect(Math.max(...pieces.map(({ length }) => length))).toBeLessThanOrEqual(PART_BYTES);
  }
});

describe("retention", () => {
  const chain = (nodes: number) =>
    Array.from({ length: nodes }, (_, at) => ({ node: at + 1, position: at, pinned: false }));
  const kept = (nodes: number) => {
    let there: { node: number; position: number; pinned: boolean }[] = [];
    for (const next of chain(nodes)) {
      there.push(next);
      const dropped = new Set(droppable(there));
      there = there.filter(({ node }) => !dropped.has(node));
    }
    return there.map(({ node }) => node);
  };

  test("the newest four and about two per doubling of the distance are kept, turn after turn", () => {
    expect(kept(4)).toStrictEqual([1, 2, 3, 4]);
    for (const nodes of [100, 1000]) {
      const nodesKept = kept(nodes);
      expect(nodesKept.slice(-4)).toStrictEqual([nodes - 3, nodes - 2, nodes - 1, nodes]);
      expect(nodesKept.length).toBeLessThanOrEqual(4 + 2 * Math.ceil(Math.log2(nodes)));
      // Going back k nodes replays at most about k.
      for (let back = 1; back < nodes; back *= 2) {
        const target = nodes - back;
        const nearest = Math.max(...nodesKept.filter((node) => node <= target), 0);
        expect(target - nearest).toBeLessThanOrEqual(back);
      }
    }
  });

  test("a pinned one is never dropped", () => {
    const pinned = chain(100).map((kept) => ({ ...kept, pinned: kept.node === 37 }));
    expect(droppable(pinned)).not.toContain(37);
  });
});
