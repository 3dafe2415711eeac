/** What the opaque handles are in this backend: addresses. */

import type { WeightRole } from "../../model/weight-table.ts";
import type { Tensor, Weight } from "../backend.ts";
import { isMatrix, matrixShape, rowScalesBytes, tilesBytes, type WeightDType } from "../packed.ts";

export interface WasmTensor extends Tensor {
  readonly at: number;
  /** Its int8 forms and those of its views, made by the first product that needs them and shared by the others. */
  readonly quantised: Quantised[];
}

/** Columns `from` … `from + columns` of the tensor at `at`, or all apart in every `columns` (`from` −1), as the kernels read them. */
export interface Quantised {
  readonly at: number;
  readonly from: number;
  readonly columns: number;
  readonly form: number;
  readonly q: number;
  readonly scales: number;
  readonly scope: { readonly depth: number; readonly id: number };
}

export interface WasmWeight extends Weight {
  readonly at: number;
  readonly dtype: WeightDType;
  /** Its matrices, one or one per block of a gate; none for plain arrays. */
  readonly matrices: readonly Matrix[];
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

/** For verbs that change x in place: no int8 form stands for its numbers any more. */
export function forgetQuantised(x: Tensor): void {
  (x as WasmTensor).quantised.length = 0;
}

/** Where the matrices of a weight lie. */
export function matricesOf(role: WeightRole, shape: readonly number[], dtype: WeightDType, at: number): Matrix[] {
  if (!isMatrix(role)) return [];
  const { count, rows, columns } = matrixShape(role, shape);
  const tiles = tilesBytes(dtype, rows, columns);
  const bytes = tiles + rowScalesBytes(dtype, rows);
  return Array.from({ length: count }, (_, m) => {
    const from = at + m * bytes;
    return { at: from, rowScales: from + tiles, rows, columns, bytes };
  });
}
