/** WebGPU in Node, through the optional `webgpu` package: a device on this machine's Vulkan, Metal or Direct3D adapter. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Gpu } from "../shared/backend/webgpu/gpu.ts";
import { type KernelSources, tryDevice, type WebGpuDevice } from "../shared/backend/webgpu/index.ts";
import { AerieError } from "../shared/errors.ts";

/** The text of all kernels, from where `npm run build` puts it. */
export function loadKernelSources(): KernelSources {
  const path = fileURLToPath(new URL("../build/kernels/wgsl.json", import.meta.url));
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new AerieError("kernels", `${path} is missing: build the kernels with \`npm run build\``, { cause });
  }
}

/** Opens the machine's best adapter; throws a sentence with the next step where there is none. */
export async function openWebGpu(): Promise<WebGpuDevice> {
  const opened = await tryDevice(await nodeGpu(), loadKernelSources());
  if (opened) return opened;
  throw new AerieError(
    "gpu.none",
    "no WebGPU adapter: on Linux install the Vulkan loader and a driver (libvulkan1, and mesa-vulkan-drivers or the vendor's), " +
      "or name a driver's file in VK_DRIVER_FILES; --backend wasm runs everywhere",
  );
}

// One for the process: adapters and devices hold on to it.
let gpu: Promise<Gpu> | null = null;

export function nodeGpu(): Promise<Gpu> {
  gpu ??= create();
  return gpu;
}

async function create(): Promise<Gpu> {
  try {
    const { create } = (await import("webgpu")) as unknown as { create(flags: string[]): Gpu };
    return create([]);
  } catch (cause) {
    throw new AerieError(
      "gpu.none",
      "the webgpu package can't be loaded here: install it with `npm install webgpu@0.6.2` (Linux needs glibc 2.34 or newer), or use --backend wasm",
      { cause },
    );
  }
}
