/** A device with so much memory and no more, which counts what is in use: this machine's adapter has that of the machine. */

import type { GpuBuffer } from "../../shared/backend/webgpu/gpu.ts";
import type { WebGpuDevice } from "../../shared/backend/webgpu/index.ts";
import { openDevice } from "./open-device.ts";

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
  const opened = await openDevice((device) => ({
    createBuffer({ size, usage }) {
      if (memory.used + size > memory.limit) return device.createBuffer({ size: 2 ** 50, usage });
      memory.used += size;
      return counted(device.createBuffer({ size, usage }), () => {
        memory.used -= size;
      });
    },
  }));
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
