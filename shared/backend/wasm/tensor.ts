/** What the opaque handles are in this backend: addresses. */

import type { WeightRole } from "../../model/weight-table.ts";
import type { Tensor, Weight } from "../backend.ts";
import { rowScalesBytes, tilesBytes, type WeightDType } from "../packed.ts";

export interface WasmTensor extends Tensor {
  readonly at: number;
  /** Its int8 forms, made by the first product that needs them and shared by the others. */
  readonly quantised: Map<string, Quantised>;
}

export interface Quantised {
  readonly q: number;
  readonly scales: number;
  readonly scope: { readonly depth: number; readonly id: number };
}

export interface WasmWeight extends Weight {
  readonly at: number;
  readonly role: WeightRole;
  readonly dtype: WeightDType;
  readonly bytes: number;
}

/** One matrix of a weight: [rows, columns], tiles at `at`, row scales at `rowScales`. */
export interface Matrix {
  readonly at: number;
  readonly rowScales: number;
  readonly rows: number;
  readonly columns: number;
  readonly bytes: number;
}

export const atOf = (x: Tensor): number => (x as WasmTensor).at;
export const weightAt = (w: Weight): number => (w as WasmWeight).at;

/** The `index`-th matrix of a weight with matrices of [rows, columns]. */
export function matrixOf(w: Weight, index: number, rows: number, columns: number): Matrix {
  const { at, dtype } = w as WasmWeight;
  const tiles = tilesBytes(dtype, rows, columns);
  const bytes = tiles + rowScalesBytes(dtype, rows);
  return { at: at + index * bytes, rowScales: at + index * bytes + tiles, rows, columns, bytes };
}
