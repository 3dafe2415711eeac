/** Which backend computes in this browser, and why: what a page tells its user. */

import type { CreateBackend } from "../../shared/backend/backend.ts";
import { wasmBackend } from "../../shared/backend/wasm/index.ts";
import { loadKernels } from "./kernels.ts";

export type BackendKind = "wasm";

export interface ChosenBackend {
  readonly kind: BackendKind;
  /** `wasm (no WebGPU adapter)` */
  readonly line: string;
  readonly createBackend: CreateBackend;
}

export async function chooseBackend(_wanted?: BackendKind): Promise<ChosenBackend> {
  const kernels = await loadKernels();
  return { kind: "wasm", line: "wasm (no WebGPU adapter)", createBackend: (needs) => wasmBackend(kernels, needs) };
}
