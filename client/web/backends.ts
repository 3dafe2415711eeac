/** Which backend computes in this browser, and why: what a page tells its user. */

import type { CreateBackend } from "../../shared/backend/backend.ts";
import { wasmBackend } from "../../shared/backend/wasm/index.ts";
import type { Gpu } from "../../shared/backend/webgpu/gpu.ts"; // the DOM's type, but for unions of names
import { tryDevice, type WebGpuBackend, type WebGpuDevice, webgpuBackend } from "../../shared/backend/webgpu/index.ts";
import { AerieError } from "../../shared/errors.ts";
import { loadKernelSources, loadKernels } from "./kernels.ts";

export type BackendKind = "webgpu" | "wasm";

export interface ChosenBackend {
  /** `webgpu: <adapter>`, or `wasm (no WebGPU adapter)` */
  readonly line: string;
  readonly createBackend: CreateBackend;
  /** After the weights: what else has to be made before the first token, such as a GPU's pipelines. */
  prepare(onProgress: (done: number, total: number) => void): Promise<void>;
  /** Gives memory back at once. The backends that were made are of no use any more. */
  close(): void;
}

/** `wanted`: that one, or an error. Default: a GPU where there is one, else WASM; a CPU that plays a GPU is slower than WASM. */
export async function chooseBackend(wanted?: BackendKind): Promise<ChosenBackend> {
  if (wanted === "wasm") return wasm("chosen");
  if (!navigator.gpu) return withoutGpu(wanted, "no WebGPU in this browser");
  let opened: WebGpuDevice | null;
  try {
    opened = await tryDevice(navigator.gpu as unknown as Gpu, await loadKernelSources());
  } catch (error) {
    return withoutGpu(wanted, `the WebGPU device can't be opened: ${error instanceof Error ? error.message : error}`);
  }
  if (!opened) return withoutGpu(wanted, "no WebGPU adapter");
  if (opened.isSoftware && wanted !== "webgpu") {
    opened.device.destroy();
    return wasm(`the WebGPU adapter is software: ${opened.name}`);
  }
  return webgpu(opened);
}

function withoutGpu(wanted: BackendKind | undefined, reason: string): Promise<ChosenBackend> {
  if (wanted !== "webgpu") return wasm(reason);
  throw new AerieError("gpu.none", `WebGPU can't be used here (${reason}): choose wasm, which runs everywhere`);
}

async function wasm(reason: string): Promise<ChosenBackend> {
  const kernels = await loadKernels();
  return {
    line: `wasm (${reason})`,
    createBackend: (needs) => wasmBackend(kernels, needs),
    prepare: async () => undefined,
    close: () => undefined, // the collector takes its memory
  };
}

function webgpu(opened: WebGpuDevice): ChosenBackend {
  const backends: WebGpuBackend[] = [];
  return {
    line: `webgpu: ${opened.name}`,
    createBackend(needs) {
      const backend = webgpuBackend(opened, needs);
      backends.push(backend);
      return backend;
    },
    async prepare(onProgress) {
      for (const backend of backends) await backend.ready(onProgress);
    },
    close: () => opened.device.destroy(),
  };
}
