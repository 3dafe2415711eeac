/** From a host's WebGPU entry point to a device that kernels can run on, or to the reason why there is none. */

import { AerieError } from "../../errors.ts";
import type { Gpu, GpuAdapter, GpuDevice } from "./gpu.ts";
import { type KernelSources, Pipelines } from "./pipelines.ts";

/** A device and what has been compiled for it; any number of backends may share it. */
export interface WebGpuDevice {
  readonly device: GpuDevice;
  /** Vendor, architecture and what else the adapter says of itself. */
  readonly name: string;
  /** A CPU that plays a GPU: right, but slower than the wasm backend. */
  readonly isSoftware: boolean;
  readonly pipelines: Pipelines;
  /** Why the device is gone; null while it is there. */
  readonly lossReason: () => string | null;
}

/**
 * Asks for an adapter and its device, with the adapter's own limits for the size of buffers. null: there is no adapter, which is
 * the normal case for many users.
 */
export async function tryDevice(gpu: Gpu, sources: KernelSources): Promise<WebGpuDevice | null> {
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) return null;
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const device = await adapter.requestDevice({
    requiredFeatures: [],
    requiredLimits: { maxBufferSize, maxStorageBufferBindingSize },
  });
  let lossReason: string | null = null;
  void device.lost.then(({ reason, message }) => {
    lossReason = `${reason}: ${message}`;
  });
  return {
    device,
    name: nameOf(adapter),
    isSoftware: isSoftware(adapter),
    pipelines: new Pipelines(device, sources, gpu.wgslLanguageFeatures?.has("packed_4x8_integer_dot_product") ?? false),
    lossReason: () => lossReason,
  };
}

/** Throws if the device is gone, as far as is known. */
export function throwIfLost(opened: WebGpuDevice, cause?: unknown): void {
  const reason = opened.lossReason();
  if (reason !== null) throw new DeviceLostError(reason, { cause });
}

function nameOf({ info }: GpuAdapter): string {
  const { vendor, architecture, device, description } = info;
  return [vendor, architecture, description || device].filter((part) => part !== "").join(" ");
}

const isSoftware = ({ info }: GpuAdapter): boolean =>
  info.isFallbackAdapter === true || info.architecture === "swiftshader" || /llvmpipe/i.test(info.description);

/** The GPU is gone: reset, unplugged, or taken by the system. Everything in its memory is lost. */
export class DeviceLostError extends AerieError {
  constructor(reason: string, options?: { cause?: unknown }) {
    super(
      "gpu.lost",
      `the GPU device was lost (${reason}): open a device anew, load the bundle into it and restore the last saved state`,
      options,
    );
  }
}
