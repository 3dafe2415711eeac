/** A device with so much memory and no more, which counts what is in use: this machine's adapter has that of the machine. */

import { loadKernelSources, nodeGpu } from "../../cli/webgpu.ts";
import type { GpuBuffer, GpuDevice } from "../../shared/backend/webgpu/gpu.ts";
import { tryDevice, type WebGpuDevice } from "../../shared/backend/webgpu/index.ts";

export interface LimitedDevice {
  readonly opened: WebGpuDevice;
  readonly memory: {
    /** Bytes that may be in use together. */
    limit: number;
    /** Of buffers that were created and not destroyed. */
    used: number;
  };
}

/** A buffer beyond the limit is one that the device refuses: in the end no more than a size that it can't have. */
export async function limitedDevice(): Promise<LimitedDevice> {
  const memory = { limit: Number.POSITIVE_INFINITY, used: 0 };
  const limited = (device: GpuDevice): GpuDevice =>
    overriding(device, {
      createBuffer({ size, usage }) {
        if (memory.used + size > memory.limit) return device.createBuffer({ size: 2 ** 50, usage });
        memory.used += size;
        return counted(device.createBuffer({ size, usage }), () => {
          memory.used -= size;
        });
      },
    });
  const gpu = await nodeGpu();
  const opened = await tryDevice(
    {
      async requestAdapter(options) {
        const adapter = await gpu.requestAdapter(options);
        if (!adapter) return null;
        return overriding(adapter, {
          requestDevice: async (descriptor) => limited(await adapter.requestDevice(descriptor)),
        });
      },
    },
    loadKernelSources(),
  );
  if (!opened) throw new Error("there was an adapter a moment ago");
  return { opened, memory };
}

/** The buffer itself, which bind groups want, with a `destroy` that tells. */
function counted(buffer: GpuBuffer, onDestroy: () => void): GpuBuffer {
  const { destroy } = buffer;
  let isThere = true;
  return Object.assign(buffer, {
    destroy() {
      if (isThere) onDestroy();
      isThere = false;
      destroy.call(buffer);
    },
  });
}

/** An object of the device's with some of its methods replaced. */
function overriding<T extends object>(target: T, methods: Partial<T>): T {
  return new Proxy(target, {
    get(_, key) {
      if (key in methods) return methods[key as keyof T];
      const value = target[key as keyof T];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
