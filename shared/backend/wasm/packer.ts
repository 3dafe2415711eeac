/** Quantises weights with the kernels of `assembly/pack.ts`. Both modules give the same bytes. */

import { AerieError } from "../../errors.ts";
import { TILE_ROWS, tilesBytes } from "../packed.ts";
import { FIRST_FREE_BYTE, instantiate, type KernelModules } from "./kernels.ts";

/** A tile's bytes and its row scales, valid until the next call. */
export interface PackedTile {
  readonly tile: Uint8Array;
  readonly rowScales: Float32Array;
}

const PAGE_BYTES = 65_536;

/** `mostColumns`: the widest row that it will be given. */
export function wasmPacker({ baseline }: KernelModules, mostColumns: number) {
  const rowsBytes = TILE_ROWS * mostColumns * 4;
  const tileBytes = tilesBytes("rg8", TILE_ROWS, mostColumns); // rg4's are smaller
  const [rowsAt, tileAt] = [FIRST_FREE_BYTE, FIRST_FREE_BYTE + Math.ceil(rowsBytes / 64) * 64];
  const scalesAt = tileAt + Math.ceil(tileBytes / 64) * 64;
  const memory = new WebAssembly.Memory({ initial: Math.ceil((scalesAt + 64) / PAGE_BYTES) });
  const kernels = instantiate(baseline, memory);
  return {
    /** Quantises one tile: up to 16 rows of `columns` f32 each, row-major. */
    packTile(dtype: "rg8" | "rg4", rows: Float32Array, columns: number): PackedTile {
      if (columns > mostColumns || rows.length > TILE_ROWS * columns)
        throw new AerieError(
          "pack",
          `a tile has up to ${TILE_ROWS} rows of up to ${mostColumns} columns, found ${rows.length} numbers in rows of ${columns}`,
        );
      new Float32Array(memory.buffer, rowsAt, rows.length).set(rows);
      const pack = dtype === "rg8" ? kernels.packRg8 : kernels.packRg4;
      pack(rowsAt, rows.length / columns, columns, tileAt, scalesAt);
      return {
        tile: new Uint8Array(memory.buffer, tileAt, tilesBytes(dtype, TILE_ROWS, columns)),
        rowScales: new Float32Array(memory.buffer, scalesAt, TILE_ROWS),
      };
    },
  };
}
