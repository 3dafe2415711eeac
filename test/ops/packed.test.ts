/** The layouts by hand: single weights put where the drawings in assembly/ say they lie, and read back. */

import { describe, expect, test } from "vitest";
import { packedBytes, unpack, type WeightDType } from "../../shared/backend/packed.ts";
import type { WeightRole } from "../../shared/model/weight-table.ts";

/** Where one number lies: counted on the drawing, not computed. */
interface Place {
  readonly at: readonly number[]; // in the unpacked tensor
  readonly write: (bytes: DataView) => void;
  readonly value: number;
}

interface Layout {
  readonly name: string;
  readonly role: WeightRole;
  readonly dtype: WeightDType;
  readonly shape: readonly number[];
  readonly bytes: number;
  readonly background: number; // the byte that stands for nothing but zeros
  readonly places: readonly Place[];
}

const f32 = (offset: number, value: number) => (bytes: DataView) => bytes.setFloat32(offset, value, true);

/** One rg4 weight: its nibble, its block scale and its row scale. */
const rg4 =
  (
    [nibbles, half]: readonly [number, "low" | "high"],
    nibble: number,
    [scaleOffset, scale]: readonly [number, number],
    [rowScaleOffset, rowScale]: readonly [number, number],
  ) =>
  (bytes: DataView) => {
    const other = bytes.getUint8(nibbles) & (half === "low" ? 0xf0 : 0x0f);
    bytes.setUint8(nibbles, other | (half === "low" ? nibble : nibble << 4));
    bytes.setInt8(scaleOffset, scale);
    bytes.setFloat32(rowScaleOffset, rowScale, true);
  };

const rg8 =
  (
    [offset, integer]: readonly [number, number],
    [scaleOffset, scale]: readonly [number, number],
    [rowScaleOffset, rowScale]: readonly [number, number],
  ) =>
  (bytes: DataView) => {
    bytes.setInt8(offset, integer);
    bytes.setInt8(scaleOffset, scale);
    bytes.setFloat32(rowScaleOffset, rowScale, true);
  };

const layouts: Layout[] = [
  {
    // 2 tiles of 16 rows, 2 blocks of 32 columns in each: blocks at 0, 288, 576, 864, row scales at 1152.
    name: "rg4, 18 × 40",
    role: "matrix",
    dtype: "rg4",
    shape: [18, 40],
    bytes: 4 * 288 + 32 * 4,
    background: 0x88, // nibbles hold weight + 8
    places: [
      { at: [0, 0], value: 3 * 1 * 7, write: rg4([0, "low"], 15, [256, 1], [1152, 3]) },
      { at: [0, 4], value: 3 * 1 * -8, write: rg4([0, "high"], 0, [256, 1], [1152, 3]) },
      { at: [0, 32], value: 3 * -5 * -1, write: rg4([288, "low"], 7, [288 + 256, -5], [1152, 3]) },
      // k mod 4 = 2: the second scale of its row.
      { at: [1, 2], value: 2 * 127 * 1, write: rg4([6, "low"], 9, [256 + 3, 127], [1156, 2]) },
      // The second group of 8 k, the second vector of rows, its second row, k5.
      { at: [5, 13], value: 0.5 * -127 * -3, write: rg4([64 + 16 + 4 + 1, "high"], 5, [256 + 10, -127], [1172, 0.5]) },
      { at: [15, 31], value: 4 * 9 * 6, write: rg4([255, "high"], 14, [287, 9], [1212, 4]) },
      { at: [17, 39], value: 0.25 * 2 * 4, write: rg4([864 + 4 + 3, "high"], 12, [864 + 256 + 3, 2], [1220, 0.25]) },
    ],
  },
  {
    // Blocks at 0, 528, 1056, 1584, row scales at 2112.
    name: "rg8, 18 × 40",
    role: "embedding",
    dtype: "rg8",
    shape: [18, 40],
    bytes: 4 * 528 + 32 * 4,
    background: 0,
    places: [
      { at: [0, 0], value: 3 * 2 * 127, write: rg8([0, 127], [512, 2], [2112, 3]) },
      { at: [0, 4], value: 3 * 2 * -127, write: rg8([64, -127], [512, 2], [2112, 3]) },
      { at: [0, 32], value: 3 * 127 * -1, write: rg8([528, -1], [528 + 512, 127], [2112, 3]) },
      // The fourth quad of k, the second vector of rows, its second row, k1.
      { at: [5, 13], value: 0.5 * 7 * 11, write: rg8([3 * 64 + 16 + 4 + 1, 11], [512 + 5, 7], [2132, 0.5]) },
      { at: [15, 31], value: 4 * 1 * 5, write: rg8([511, 5], [527, 1], [2172, 4]) },
      { at: [17, 39], value: 2 * 3 * -4, write: rg8([1584 + 64 + 4 + 3, -4], [1584 + 512 + 1, 3], [2180, 2]) },
    ],
  },
  {
    // Tiles at 0 and 320; 16 rows of one column in 64 bytes.
    name: "f32, 18 × 5",
    role: "matrix",
    dtype: "f32",
    shape: [18, 5],
    bytes: 2 * 320,
    background: 0,
    places: [
      { at: [0, 0], value: 1.5, write: f32(0, 1.5) },
      { at: [1, 0], value: 2.5, write: f32(4, 2.5) },
      { at: [0, 1], value: 3.5, write: f32(64, 3.5) },
      { at: [15, 4], value: 4.5, write: f32(4 * 64 + 60, 4.5) },
      { at: [17, 3], value: 5.5, write: f32(320 + 3 * 64 + 4, 5.5) },
    ],
  },
  {
    name: "f16, 18 × 5",
    role: "matrix",
    dtype: "f16",
    shape: [18, 5],
    bytes: 2 * 160,
    background: 0,
    places: [
      { at: [0, 1], value: -2, write: (bytes) => bytes.setUint16(32, 0xc000, true) },
      { at: [17, 3], value: 2 ** -24, write: (bytes) => bytes.setUint16(160 + 3 * 32 + 2, 0x0001, true) },
      { at: [15, 4], value: 65504, write: (bytes) => bytes.setUint16(4 * 32 + 30, 0x7bff, true) },
    ],
  },
  {
    // Per block of the gate the transpose of what is stored: 2 rows (out) of 3 columns (in), 192 bytes.
    name: "f32 gate, 2 blocks of 3 in, 2 out",
    role: "gate",
    dtype: "f32",
    shape: [2, 3, 2],
    bytes: 2 * 192,
    background: 0,
    places: [
      { at: [0, 0, 1], value: 1, write: f32(4, 1) },
      { at: [0, 1, 0], value: 2, write: f32(64, 2) },
      { at: [1, 2, 1], value: 3, write: f32(192 + 2 * 64 + 4, 3) },
    ],
  },
  {
    name: "a plain array",
    role: "conv",
    dtype: "f32",
    shape: [2, 3],
    bytes: 24,
    background: 0,
    places: [{ at: [1, 0], value: 7, write: f32(12, 7) }],
  },
];

describe("unpack", () => {
  test.each(layouts)("$name", ({ role, dtype, shape, bytes, background, places }) => {
    expect(packedBytes(role, shape, dtype)).toBe(bytes);
    const packed = new Uint8Array(bytes).fill(background);
    const scaleBytes = dtype === "rg4" ? 32 : 0; // the block's last bytes are scales, not nibbles
    for (let block = 0; scaleBytes && block < 4 * 288; block += 288) packed.fill(0, block + 256, block + 288);
    if (dtype === "rg4") packed.fill(0, 4 * 288);
    const expected = new Float32Array(shape.reduce((product, side) => product * side, 1));
    for (const { at, write, value } of places) {
      write(new DataView(packed.buffer));
      expected[at.reduce((index, i, side) => index * shape[side] + i, 0)] = value;
    }
    expect(unpack(role, shape, dtype, packed).map((x) => x + 0)).toStrictEqual(expected); // −0 + 0 = 0
  });
});
