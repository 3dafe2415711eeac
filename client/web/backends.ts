/** Which backend computes in this browser, and why: what a page tells its user. */

import type { CreateBackend } from "../../shared/backend/backend.ts";
import { wasmBackend } from "../../shared/backend/wasm/index.ts";
import type { Gpu } from "../../shared/backend/webgpu/gpu.ts"; // the DOM's type, but for unions of names
import { tryDevice, type WebGpuBackend, type WebGpuDevice, webgpuBackend } from "../../shared/backend/webgpu/index.ts";
import { AerieError } from "../../shared/errors.ts";
import { loadKernelSources, loadKernels } from "./kernels.ts";

export type BackendKind = "webgpu" | "wasm";

export interface ChosenBackend {
  readonly kind: BackendKind;
  /** `webgpu: <adapter>`, or `wasm (no WebGPU adapter)` */
  readonly line: string;
  readonly createBackend: CreateBackend;
  /** After the weights: what else has to be made before the first token, such as a GPU's pipelines. */
  prepare(onProgress: (done: number, total: number) => void): Promise<void>;
  /** Settles once the GPU is gone, and all that lies in its memory; null where none computes. */
  readonly lost: Promise<unknown> | null;
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

/**
 * After an error while a model came into `chosen`: what computes in its place. Throws where nothing does, because the error is none
 * of the GPU's or the GPU was asked for.
 */
export async function chooseAfter(error: unknown, chosen: ChosenBackend, wanted?: BackendKind): Promise<ChosenBackend> {
  const isGpus = error instanceof AerieError && (error.code === "kernels" || error.code.startsWith("gpu."));
  if (chosen.kind !== "webgpu" || !isGpus) throw error;
  return withoutGpu(wanted, `WebGPU can't run this model: ${error.message}`, error);
}

function withoutGpu(wanted: BackendKind | undefined, reason: string, cause?: AerieError): Promise<ChosenBackend> {
  if (wanted !== "webgpu") return wasm(reason);
  throw new AerieError(
    cause?.code ?? "gpu.none",
    `webgpu was chosen, and can't be used here: choose wasm, which runs everywhere. The reason: ${reason}`,
    { cause },
  );
}

async function wasm(reason: string): Promise<ChosenBackend> {
  const kernels = await loadKernels();
  return {
    kind: "wasm",
    line: `wasm (${reason})`,
    createBackend: (needs) => wasmBackend(kernels, needs),
    prepare: async () => undefined,
    lost: null,
    close: () => undefined, // the collector takes its memory
  };
}

function webgpu(opened: WebGpuDevice): ChosenBackend {
  const backends: WebGpuBackend[] = [];
  return {
    kind: "webgpu",
    line: `webgpu: ${opened.name}`,
    createBackend(needs) {
      const backend = webgpuBackend(opened, needs);
      backends.push(backend);
      return backend;
    },
    async prepare(onProgress) {
      for (const backend of backends) await backend.ready(onProgress).catch(refusal);
    },
    lost: opened.device.lost,
    close: () => opened.device.destroy(),
  };
}

/** What the browser says of a kernel that the GPU's driver does not take. */
function refusal(error: unknown): never {
  if (!(error instanceof Error) || error.name !== "GPUPipelineError") throw error;
  throw new AerieError("gpu.kernel", `the GPU's driver refused a kernel: ${error.message}`, { cause: error });
}
