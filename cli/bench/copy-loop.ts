/** How fast a GPU moves memory: the roof that decode on it is measured against. */

import { type GpuBuffer, MAP_READ, usage } from "../../shared/backend/webgpu/gpu.ts";
import type { WebGpuDevice } from "../../shared/backend/webgpu/index.ts";

// Larger than the caches of any GPU, and within the limits of all.
const COPY_BYTES = 128 * 2 ** 20;
const COPIES = 8;

export interface CopyLoop {
  /** Read and written in one run. */
  readonly bytes: number;
  run(): Promise<void>;
}

export function createCopyLoop({ device }: WebGpuDevice): CopyLoop {
  const buffer = (size: number, flags: number): GpuBuffer => device.createBuffer({ size, usage: flags });
  const [from, to] = [1, 2].map(() => buffer(COPY_BYTES, usage.copySource | usage.copyTarget));
  const done = buffer(4, usage.mapRead | usage.copyTarget);
  return {
    bytes: 2 * COPIES * COPY_BYTES,
    async run() {
      const encoder = device.createCommandEncoder();
      for (let i = 0; i < COPIES; i++) encoder.copyBufferToBuffer(from, 0, to, 0, COPY_BYTES);
      encoder.copyBufferToBuffer(to, 0, done, 0, 4);
      device.queue.submit([encoder.finish()]);
      await done.mapAsync(MAP_READ);
      done.unmap();
    },
  };
}
