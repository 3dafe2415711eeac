/** Which number format each matrix of a model is packed in. */

import { BLOCK_COLUMNS, isMatrix, type WeightDType } from "../backend/packed.ts";
import type { WeightRole } from "../model/weight-table.ts";

export interface MatrixDTypes {
  readonly matrices: WeightDType;
  /** The embedding, which is the output matrix too where they are tied. */
  readonly embedding: WeightDType;
  /** The block-diagonal gates of the RG-LRU: few, and the recurrence feeds their errors back. */
  readonly gates: WeightDType;
}

export const f32Matrices: MatrixDTypes = { matrices: "f32", embedding: "f32", gates: "f32" };

/** What `--weights` and `--embedding` mean: gates keep 8 bits where the matrices have 4. */
export function matrixDTypes(weights: WeightDType, embedding: WeightDType = weights): MatrixDTypes {
  return { matrices: weights, embedding, gates: weights === "rg4" ? "rg8" : weights };
}

/** The dtype of one tensor, by its role and its shape in the checkpoint. */
export function dtypeOf(role: WeightRole, shape: readonly number[], dtypes: MatrixDTypes): WeightDType {
  if (!isMatrix(role)) return "f32";
  if (role === "embedding") return dtypes.embedding;
  if (role === "matrix") return dtypes.matrices;
  // A gate block narrower than a quantisation block would be mostly padding.
  const isQuantised = dtypes.gates === "rg8" || dtypes.gates === "rg4";
  return isQuantised && shape[1] % BLOCK_COLUMNS !== 0 ? "f16" : dtypes.gates;
}
