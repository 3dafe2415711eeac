/** From a tensor of a checkpoint's file to packed bytes, a stripe of rows at a time: a matrix never lies in memory as a whole. */

import { TILE_ROWS, type WeightDType } from "../backend/packed.ts";
import type { WeightSpec } from "../model/weight-table.ts";
import { MatrixPacker, packWeight, type TilePacker } from "./pack.ts";
import { prepare } from "./prepare.ts";
import { readF32, type TensorEntry } from "./safetensors.ts";

// Numbers of one stripe: 8 MB as f32.
const STRIPE_ELEMENTS = 2 ** 21;

export interface PackOptions {
  readonly dtype: WeightDType;
  readonly packer: TilePacker;
  /** Called after every stripe with bytes of the file; what it returns is awaited. */
  readonly onProgress?: (doneBytes: number) => unknown;
}

/** `write` gets the packed bytes in order; they are its own only until it returns or what it returns is settled. */
export async function packTensor(
  spec: WeightSpec,
  entry: TensorEntry,
  { dtype, packer, onProgress }: PackOptions,
  write: (bytes: Uint8Array) => unknown,
): Promise<void> {
  if (spec.role === "matrix" || spec.role === "embedding") {
    const [rows, columns] = spec.shape;
    const stripe = Math.max(1, Math.floor(STRIPE_ELEMENTS / columns / TILE_ROWS)) * TILE_ROWS;
    const matrix = new MatrixPacker(rows, columns, dtype, packer, write);
    for (let row = 0; row < rows; row += stripe) {
      const count = Math.min(stripe, rows - row);
      await matrix.addRows(await readF32(entry, row * columns, count * columns));
      await onProgress?.(((row + count) / rows) * entry.bytes);
    }
    await matrix.finish();
    return;
  }
  const { shape, values } = prepare(spec, await readF32(entry));
  await packWeight(spec.role, shape, dtype, values, packer, write);
  await onProgress?.(entry.bytes);
}
