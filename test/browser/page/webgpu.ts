/** In place of cli/webgpu.ts: the browser's own WebGPU. */

import type { Gpu } from "../../../shared/backend/webgpu/gpu.ts";
import type { KernelSources } from "../../../shared/backend/webgpu/index.ts";
import { readFileSync } from "./node.ts";

export function loadKernelSources(): KernelSources {
  return JSON.parse(readFileSync(new URL("../../../build/kernels/wgsl.json", import.meta.url), "utf8") as string);
}

export const nodeGpu = async (): Promise<Gpu> => navigator.gpu as unknown as Gpu;
