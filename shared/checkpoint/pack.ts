/** From prepared f32 values to the bytes that kernels read (`backend/packed.ts`). */

import { f32ToF16 } from "../backend/dtype.ts";
import { isMatrix, matrixShape, rowScalesBytes, TILE_ROWS, type WeightDType } from "../backend/packed.ts";
import { CheckpointError } from "../errors.ts";
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

/** Packs a whole weight, row-major as `prepare` returns it. `write` gets the bytes in order, and is awaited. */
export async function packWeight(
  role: WeightRole,
  shape: readonly number[],
  dtype: WeightDType,
  values: Float32Array,
  packer: TilePacker,
  write: (bytes: Uint8Array) => unknown,
): Promise<void> {
  if (!isMatrix(role)) {
    await write(bytesOf(values));
    return;
  }
  const { count, rows, columns } = matrixShape(role, shape);
  for (let m = 0; m < count; m++) {
    const stored = values.subarray(m * rows * columns, (m + 1) * rows * columns);
    const matrix = new MatrixPacker(rows, columns, dtype, packer, write);
    await matrix.addRows(role === "gate" ? transposed(stored, columns, rows) : stored);
    await matrix.finish();
  }
}

/** Packs one matrix [rows, columns] whose rows come in stripes of whole tiles; only the last stripe may end within a tile. */
export class MatrixPacker {
  readonly #columns: number;
  readonly #dtype: WeightDType;
  readonly #packer: TilePacker;
  readonly #write: (bytes: Uint8Array) => unknown;
  readonly #rowScales: Float32Array;
  #row = 0;

  constructor(
    rows: number,
    columns: number,
    dtype: WeightDType,
    packer: TilePacker,
    write: (bytes: Uint8Array) => unknown,
  ) {
    this.#columns = columns;
    this.#dtype = dtype;
    this.#packer = packer;
    this.#write = write;
    this.#rowScales = new Float32Array(rowScalesBytes(dtype, rows) / 4);
  }

  async addRows(stripe: Float32Array): Promise<void> {
    const tileNumbers = TILE_ROWS * this.#columns;
    for (let at = 0; at < stripe.length; at += tileNumbers) {
      await this.#write(this.#tile(stripe.subarray(at, at + tileNumbers)));
      this.#row += TILE_ROWS;
    }
  }

  /** Row scales come behind all tiles. */
  async finish(): Promise<void> {
    if (this.#rowScales.length > 0) await this.#write(bytesOf(this.#rowScales));
  }

  #tile(rows: Float32Array): Uint8Array {
    const dtype = this.#dtype;
    switch (dtype) {
      case "f32":
        return bytesOf(interleaved(rows, this.#columns, new Float32Array(TILE_ROWS * this.#columns)));
      case "f16":
        return bytesOf(
          interleaved(Uint16Array.from(rows, finiteF16), this.#columns, new Uint16Array(TILE_ROWS * this.#columns)),
        );
      case "rg8":
      case "rg4": {
        const { tile, rowScales } = this.#packer.packTile(dtype, rows, this.#columns);
        this.#rowScales.set(rowScales, this.#row);
        return tile;
      }
      default:
        return dtype satisfies never;
    }
  }
}

function finiteF16(value: number): number {
  const half = f32ToF16(value);
  if ((half & 0x7c00) === 0x7c00)
    throw new CheckpointError(
      "value",
      `a weight of ${value} is beyond f16, which ends at 65504: pack it as f32, rg8 or rg4`,
    );
  return half;
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
