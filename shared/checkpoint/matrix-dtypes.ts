/** Which number format each matrix of a model is packed in. */

import { BLOCK_COLUMNS, isMatrix, type WeightDType } from "../backend/packed.ts";
import type { WeightRole } from "../model/weight-table.ts";

export interface MatrixDTypes {
  /** The block-diagonal gates of the RG-LRU included: in rg4 they cost fledgling-2m no more than its other matrices do. */
  readonly matrices: WeightDType;
  /** The embedding, which is the output matrix too where they are tied. */
  readonly embedding: WeightDType;
}

export const f32Matrices: MatrixDTypes = { matrices: "f32", embedding: "f32" };

/** What `--weights` and `--embedding` mean. */
export function matrixDTypes(weights: WeightDType, embedding: WeightDType = weights): MatrixDTypes {
  return { matrices: weights, embedding };
}

/** The dtype of one tensor, by its role and its shape in the checkpoint. */
export function dtypeOf(
  role: WeightRole,
  shape: readonly number[],
  { matrices, embedding }: MatrixDTypes,
): WeightDType {
  if (!isMatrix(role)) return "f32";
  if (role === "embedding") return embedding;
  // A gate block narrower than a quantisation block would be mostly padding.
  const isQuantised = matrices === "rg8" || matrices === "rg4";
  return role === "gate" && isQuantised && shape[1] % BLOCK_COLUMNS !== 0 ? "f16" : matrices;
}
