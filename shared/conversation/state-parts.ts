/**
 * A state in parts that can lie in rows and be shared. The recurrent part is new at every position. The keys and values of
 * a position never change, so they are cut into segments by absolute position: whoever continues from the same place
 * shares the full ones. Slots of the ring (position mod window) exist only inside a loaded state.
 */

import { AerieError } from "../errors.ts";
import type { StateLayout, StateRegion } from "../model/state-layout.ts";

/** Bytes of a row, at most: rows of 2 MB are refused by the platform. */
export const PART_BYTES = 2 ** 20;

/** Keys and values of the positions from `start` on, all attention blocks: for each position, each region's row. */
export interface Segment {
  readonly start: number;
  readonly positions: number;
}

export interface RingShape {
  /** Every array with a row per slot: keys, values and their scales. */
  readonly regions: readonly StateRegion[];
  /** Slots; 0 for a model without attention. */
  readonly window: number;
  readonly bytesPerPosition: number;
  /** Segments begin at multiples of this. */
  readonly segmentPositions: number;
}

/** Rows cost by their number, not by their size: few of them, and still little to write again while the newest fills up. */
const SEGMENT_BYTES = 2 ** 19;

export function ringShape(layout: StateLayout): RingShape {
  const regions = layout.blocks.flatMap((block) =>
    block.kind === "local-attention"
      ? [block.keys, block.values].flatMap(({ rows, scales }) => (scales ? [rows, scales] : [rows]))
      : [],
  );
  const window = regions[0]?.shape[0] ?? 0;
  const bytesPerPosition = regions.reduce((sum, region) => sum + region.bytes / window, 0);
  const segmentPositions = Math.max(1, Math.min(window, Math.floor(SEGMENT_BYTES / Math.max(1, bytesPerPosition))));
  return { regions, window, bytesPerPosition, segmentPositions };
}

/**
 * The segments that a state at `position` needs beyond those that are there already: `sealed` ones end at a multiple of
 * the segment length and reach into the window. Returned are those to keep, and those to cut out of the state.
 */
export function planSegments<Kept extends Segment>(
  shape: RingShape,
  position: number,
  there: readonly Kept[],
): { keep: Kept[]; cut: Segment[] } {
  const { window, segmentPositions } = shape;
  const first = Math.max(0, position - window);
  const keep: Kept[] = [];
  let covered = first;
  for (const segment of there) {
    const end = segment.start + segment.positions;
    if (end % segmentPositions !== 0 || end <= covered || end > position) continue;
    if (segment.start > covered) break; // a hole: nothing behind it helps
    keep.push(segment);
    covered = end;
  }
  const cut: Segment[] = [];
  while (covered < position && window > 0) {
    const end = Math.min(position, (Math.floor(covered / segmentPositions) + 1) * segmentPositions);
    cut.push({ start: covered, positions: end - covered });
    covered = end;
  }
  return { keep, cut };
}

/** The bytes of a segment, out of a state that holds all its positions. */
export function cutSegment(
  { regions, window, bytesPerPosition }: RingShape,
  state: Uint8Array,
  segment: Segment,
): Uint8Array {
  const bytes = new Uint8Array(segment.positions * bytesPerPosition);
  let at = 0;
  for (const region of regions) {
    const row = region.bytes / window;
    for (let position = segment.start; position < segment.start + segment.positions; position++) {
      const from = region.offsetBytes + (position % window) * row;
      bytes.set(state.subarray(from, from + row), at);
      at += row;
    }
  }
  return bytes;
}

/** Puts a segment's positions into their slots; those that a state at `position` no longer needs are left out. */
export function pasteSegment(
  { regions, window, bytesPerPosition }: RingShape,
  state: Uint8Array,
  position: number,
  segment: Segment,
  bytes: Uint8Array,
): void {
  if (bytes.length !== segment.positions * bytesPerPosition)
    throw new AerieError(
      "conversation.checkpoint",
      `a segment of ${segment.positions} positions has ${segment.positions * bytesPerPosition} bytes, found ${bytes.length}`,
    );
  let at = 0;
  for (const region of regions) {
    const row = region.bytes / window;
    for (let p = segment.start; p < segment.start + segment.positions; p++) {
      if (p >= position - window && p < position)
        state.set(bytes.subarray(at, at + row), region.offsetBytes + (p % window) * row);
      at += row;
    }
  }
}

/** The recurrent part in pieces of at most `PART_BYTES`. */
export function cutRecurrent(layout: StateLayout, state: Uint8Array): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < layout.recurrentBytes; at += PART_BYTES)
    pieces.push(state.slice(at, Math.min(at + PART_BYTES, layout.recurrentBytes)));
  return pieces;
}
