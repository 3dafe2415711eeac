/** Numbers on their way back from the GPU: copied when asked for, through buffers that are used again. */

import type { Commands } from "./commands.ts";
import { DeviceLostError, type WebGpuDevice } from "./device.ts";
import { type GpuBuffer, MAP_READ, usage } from "./gpu.ts";

// Of each size; more are open only while a caller waits for several reads at once.
const KEPT = 2;

export class Readback {
  readonly #opened: WebGpuDevice;
  readonly #commands: Commands;
  readonly #idle = new Map<number, GpuBuffer[]>();

  constructor(opened: WebGpuDevice, commands: Commands) {
    this.#opened = opened;
    this.#commands = commands;
  }

  /** What `from` holds as of this call, handed to `take` once it is here; the bytes are `take`'s only while it runs. */
  async read<Result>(
    from: GpuBuffer,
    offset: number,
    bytes: number,
    take: (bytes: ArrayBuffer) => Result,
  ): Promise<Result> {
    const staging = this.#idle.get(bytes)?.pop() ?? this.#create(bytes);
    this.#commands.copy(from, offset, staging, 0, bytes);
    this.#commands.submit();
    try {
      await staging.mapAsync(MAP_READ);
    } catch (cause) {
      await new Promise((resolve) => void setTimeout(() => resolve(null), 0)); // the loss is told in a promise of its own
      const reason = this.#opened.lossReason();
      if (reason !== null) throw new DeviceLostError(reason, { cause });
      await this.#commands.check();
      throw cause;
    }
    await this.#commands.check();
    const result = take(staging.getMappedRange());
    staging.unmap();
    this.#keep(staging);
    return result;
  }

  #create(bytes: number): GpuBuffer {
    return this.#opened.device.createBuffer({ size: bytes, usage: usage.mapRead | usage.copyTarget });
  }

  #keep(staging: GpuBuffer): void {
    const idle = this.#idle.get(staging.size) ?? [];
    this.#idle.set(staging.size, idle);
    if (idle.length < KEPT) idle.push(staging);
    else staging.destroy();
  }
}
