/** Kernels that trap: what one left half done may be wrong for everybody, so its instance is thrown away with it. */

import type { LoadedModel, ModelSource } from "./model-source.ts";

export const isTrap = (error: unknown): boolean => error instanceof Error && error.name === "RuntimeError";

/** For whoever computed with `loaded` when the error was thrown. */
export function discardTrapped(models: ModelSource, loaded: LoadedModel, error: unknown): void {
  if (isTrap(error)) models.discard(loaded);
}
