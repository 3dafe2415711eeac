/** From prepared f32 values to the bytes that kernels read (`backend/packed.ts`). */

import { f32ToF16 } from "../backend/dtype.ts";
import { isMatrix, matrixShape, rowScalesBytes, TILE_ROWS, type WeightDType } from "../backend/packed.ts";
import type { WeightRole } from "../model/weight-table.ts";

/** Quantises one tile: up to 16 rows of `columns` f32 each, row-major. What it returns is valid until the next call. */
export interface TilePacker {
  packTile(dtype: "rg8" | "rg4", rows: Float32Array, columns: number): PackedTile;
}

export interface PackedTile {
  readonly tile: Uint8Array;
  readonly rowScales: Float32Array; // [16]
}

/** For f32 and f16, which need none. */
export const noPacker: TilePacker = {
  packTile: (dtype) => {
    throw new TypeError(`packing ${dtype} needs a packer`);
  },
};

/** Packs a weight, row-major as `prepare` returns it, a tile at a time: `write` gets the bytes in order. */
export function packWeight(
  role: WeightRole,
  shape: readonly number[],
  dtype: WeightDType,
  values: Float32Array,
  packer: TilePacker,
  write: (bytes: Uint8Array) => void,
): void {
  if (!isMatrix(role)) {
    write(bytesOf(values));
    return;
  }
  const { count, rows, columns } = matrixShape(role, shape);
  for (let m = 0; m < count; m++) {
    const matrix = values.subarray(m * rows * columns, (m + 1) * rows * columns);
    packMatrix(role === "gate" ? transposed(matrix, columns, rows) : matrix, rows, columns, dtype, packer, write);
  }
}

/** One matrix, [rows, columns]. */
function packMatrix(
  matrix: Float32Array,
  rows: number,
  columns: number,
  dtype: WeightDType,
  packer: TilePacker,
  write: (bytes: Uint8Array) => void,
): void {
  const rowScales = new Float32Array(rowScalesBytes(dtype, rows) / 4);
  for (let n = 0; n < rows; n += TILE_ROWS) {
    const tileRows = matrix.subarray(n * columns, Math.min(n + TILE_ROWS, rows) * columns);
    switch (dtype) {
      case "f32":
        write(bytesOf(interleaved(tileRows, columns, new Float32Array(TILE_ROWS * columns))));
        break;
      case "f16":
        write(
          bytesOf(interleaved(Uint16Array.from(tileRows, f32ToF16), columns, new Uint16Array(TILE_ROWS * columns))),
        );
        break;
      case "rg8":
      case "rg4": {
        const packed = packer.packTile(dtype, tileRows, columns);
        rowScales.set(packed.rowScales, n);
        write(packed.tile);
        break;
      }
      default:
        dtype satisfies never;
    }
  }
  if (rowScales.length > 0) write(bytesOf(rowScales));
}

/** [rows, columns] → [column][16 rows], missing rows zero. */
function interleaved<Numbers extends Float32Array | Uint16Array>(
  rows: ArrayLike<number>,
  columns: number,
  tile: Numbers,
): Numbers {
  for (let at = 0; at < rows.length; at++) tile[(at % columns) * TILE_ROWS + Math.floor(at / columns)] = rows[at];
  return tile;
}

function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) result[c * rows + r] = values[r * columns + c];
  return result;
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array | Uint16Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);
