/** How weights lie in memory, in files and in every backend: the layouts that the kernels read, and their sizes. */

import type { WeightRole } from "../model/weight-table.ts";
import { f16ToF32 } from "./dtype.ts";

/**
 * Number formats of weights.
 * - `f32`, `f16`: exact
 * - `rg8`: 8.25 bits; int8 with an int8 scale per 32 weights and an f32 scale per row
 * - `rg4`: 4.5 bits; 4 bits with an int8 scale per 16 weights and an f32 scale per row
 *
 * A product with rg8 or rg4 rounds its activations to int8, with one f32 scale per `ACTIVATION_GROUP` of them.
 */
export type WeightDType = "f32" | "f16" | "rg8" | "rg4";

/** Activations that share one scale; each row, and each block of a gate, begins a new group. */
export const ACTIVATION_GROUP = 256;

/** Weights of a matrix come in tiles of so many rows; a short last tile is filled up with zeros. */
export const TILE_ROWS = 16;

/** The quantised formats cut a row into blocks of so many columns; a short last block is filled up with zeros. */
export const BLOCK_COLUMNS = 32;

const blockBytes = { rg8: 528, rg4: 288 } as const; // 16 rows × 32 columns, with block scales

/**
 * Whether a role is a matrix, which lies in tiles and may be quantised. The others are plain f32 arrays: so few numbers that
 * quantising them saves nothing.
 */
export function isMatrix(role: WeightRole): boolean {
  return role === "embedding" || role === "matrix" || role === "gate";
}

/** The matrices of a tensor: one [rows, columns], or one [out, in] per block of a gate, which is stored [in, out]. */
export interface MatrixShape {
  readonly count: number;
  readonly rows: number;
  readonly columns: number;
}

export function matrixShape(role: WeightRole, shape: readonly number[]): MatrixShape {
  if (role === "gate") return { count: shape[0], rows: shape[2], columns: shape[1] };
  return { count: 1, rows: shape[0], columns: shape[1] };
}

/** Bytes of a weight, as `pack.ts` writes it and the kernels read it. */
export function packedBytes(role: WeightRole, shape: readonly number[], dtype: WeightDType): number {
  if (!isMatrix(role)) return 4 * shape.reduce((product, side) => product * side, 1);
  const { count, rows, columns } = matrixShape(role, shape);
  return count * (tilesBytes(dtype, rows, columns) + rowScalesBytes(dtype, rows));
}

/** Weights begin at multiples of this, in a bundle and in memory: a cache line. */
export const WEIGHT_ALIGNMENT_BYTES = 64;

export const alignedBytes = (bytes: number): number =>
  Math.ceil(bytes / WEIGHT_ALIGNMENT_BYTES) * WEIGHT_ALIGNMENT_BYTES;

/** A weight that a backend will be given. The shape is the prepared one (`checkpoint/prepare.ts`). */
export interface PackedWeight {
  readonly role: WeightRole;
  readonly shape: readonly number[];
  readonly dtype: WeightDType;
}

/** Bytes of weights one after the other, each aligned. */
export const weightBytes = (weights: readonly PackedWeight[]): number =>
  weights.reduce((sum, { role, shape, dtype }) => sum + alignedBytes(packedBytes(role, shape, dtype)), 0);

/** Bytes of one matrix's tiles, without its row scales. */
export function tilesBytes(dtype: WeightDType, rows: number, columns: number): number {
  const tiles = Math.ceil(rows / TILE_ROWS);
  switch (dtype) {
    case "f32":
      return tiles * columns * TILE_ROWS * 4;
    case "f16":
      return tiles * columns * TILE_ROWS * 2;
    case "rg8":
    case "rg4":
      return tiles * Math.ceil(columns / BLOCK_COLUMNS) * blockBytes[dtype];
    default:
      return dtype satisfies never;
  }
}

/** Bytes of one matrix's f32 row scales, which follow its tiles; none where there are no scales. */
export function rowScalesBytes(dtype: WeightDType, rows: number): number {
  return dtype === "rg8" || dtype === "rg4" ? Math.ceil(rows / TILE_ROWS) * TILE_ROWS * 4 : 0;
}

/**
 * The numbers that a packed weight stands for, in the shape's own row-major order: what the reference backend computes with.
 * The layouts are drawn in `wasm/assembly/` (f32.ts, f16.ts, rg8.ts, rg4.ts).
 */
export function unpack(
  role: WeightRole,
  shape: readonly number[],
  dtype: WeightDType,
  packed: Uint8Array,
): Float32Array {
  const aligned = packed.byteOffset % 4 === 0 ? packed : packed.slice();
  const elements = shape.reduce((product, side) => product * side, 1);
  if (!isMatrix(role)) return new Float32Array(aligned.buffer, aligned.byteOffset, elements).slice();

  const { count, rows, columns } = matrixShape(role, shape);
  const matrixBytes = tilesBytes(dtype, rows, columns) + rowScalesBytes(dtype, rows);
  const values = new Float32Array(elements);
  for (let m = 0; m < count; m++) {
    const at = matrixReader(dtype, rows, columns, aligned.subarray(m * matrixBytes, (m + 1) * matrixBytes));
    for (let n = 0; n < rows; n++) {
      for (let k = 0; k < columns; k++) {
        // A gate is stored [in, out]: the transpose of its [out, in] matrix.
        const to = role === "gate" ? (m * columns + k) * rows + n : n * columns + k;
        values[to] = at(n, k);
      }
    }
  }
  return values;
}

function matrixReader(
  dtype: WeightDType,
  rows: number,
  columns: number,
  bytes: Uint8Array,
): (n: number, k: number) => number {
  const inTile = (n: number, k: number) => ((n >> 4) * columns + k) * TILE_ROWS + (n & 15);
  switch (dtype) {
    case "f32": {
      const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
      return (n, k) => values[inTile(n, k)];
    }
    case "f16": {
      const halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
      return (n, k) => f16ToF32(halves[inTile(n, k)]);
    }
    case "rg8":
    case "rg4": {
      const scalesAt = tilesBytes(dtype, rows, columns);
      const rowScales = new Float32Array(bytes.buffer, bytes.byteOffset + scalesAt, rowScalesBytes(dtype, rows) / 4);
      const integers = new Int8Array(bytes.buffer, bytes.byteOffset, scalesAt);
      const blocks = Math.ceil(columns / BLOCK_COLUMNS);
      const integerAt = dtype === "rg8" ? rg8At : rg4At;
      return (n, k) => {
        const block = ((n >> 4) * blocks + (k >> 5)) * blockBytes[dtype];
        return rowScales[n] * integerAt(integers, block, n & 15, k & 31);
      };
    }
    default:
      return dtype satisfies never;
  }
}

/** Block scale times integer. */
function rg8At(bytes: Int8Array, block: number, row: number, k: number): number {
  return bytes[block + 512 + row] * bytes[block + (k >> 2) * 64 + row * 4 + (k & 3)];
}

function rg4At(bytes: Int8Array, block: number, row: number, k: number): number {
  const nibbles = bytes[block + (k >> 3) * 64 + row * 4 + (k & 3)];
  const nibble = (k & 4 ? nibbles >> 4 : nibbles) & 15;
  return bytes[block + 256 + row * 2 + ((k >> 1) & 1)] * (nibble - 8);
}
