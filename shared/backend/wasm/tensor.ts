/** What the opaque handles are in this backend: addresses. */

import type { Tensor, Weight } from "../backend.ts";
import type { WeightDType } from "../packed.ts";

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
  /** Where it lies if it is no matrix. */
  readonly at: number;
  readonly dtype: WeightDType;
  /** Its matrices, one or one per block of a gate; none for plain arrays. */
  readonly matrices: readonly Matrix[];
}

/** One matrix of a weight: [rows, columns], in one part or two. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly parts: readonly MatrixPart[];
  readonly bytes: number;
}

/** Rows that lie together: tiles at `at`, their row scales behind them. */
export interface MatrixPart {
  readonly at: number;
  readonly rowScales: number;
  readonly firstRow: number;
  readonly rows: number;
}

export const atOf = (x: Tensor): number => (x as WasmTensor).at;
export const weightAt = (w: Weight): number => (w as WasmWeight).at;

/** For verbs that change x in place: no int8 form stands for its numbers any more. */
export function forgetQuantised(x: Tensor): void {
  (x as WasmTensor).quantised.length = 0;
}
