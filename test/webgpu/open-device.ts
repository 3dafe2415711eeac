/** A device of a test's own, with some of its methods replaced: a GPU's whims, which a software adapter does not have. */

import { loadKernelSources, nodeGpu } from "../../cli/webgpu.ts";
import type { GpuDevice } from "../../shared/backend/webgpu/gpu.ts";
import { tryDevice, type WebGpuDevice } from "../../shared/backend/webgpu/index.ts";

export async function openDevice(alter: (device: GpuDevice) => Partial<GpuDevice> = () => ({})): Promise<WebGpuDevice> {
  const gpu = await nodeGpu();
  const opened = await tryDevice(
    {
      async requestAdapter(options) {
        const adapter = await gpu.requestAdapter(options);
        if (!adapter) return null;
        return overriding(adapter, {
          async requestDevice(descriptor) {
            const device = await adapter.requestDevice(descriptor);
            return overriding(device, alter(device));
          },
        });
      },
    },
    loadKernelSources(),
  );
  if (!opened) throw new Error("there was an adapter a moment ago");
  return opened;
}

/** One of WebGPU's own objects, which can't be copied, with other methods and properties. */
export function overriding<T extends object>(target: T, others: Partial<T>): T {
  return new Proxy(target, {
    get(_, key) {
      if (key in others) return others[key as keyof T];
      const value = target[key as keyof T];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
