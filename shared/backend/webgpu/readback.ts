/** Numbers on their way back from the GPU: copied when asked for, through buffers that are used again. */

import type { Commands } from "./commands.ts";
import { throwIfLost, type WebGpuDevice } from "./device.ts";
import type { Faults } from "./faults.ts";
import { type GpuBuffer, type GpuDevice, MAP_READ, usage } from "./gpu.ts";
import { type Lent, type Memory, throwIfRefused } from "./memory.ts";

// Buffers that are kept for the next reads, at most: a token's logits, a state, and what several callers wait for at once.
const KEPT = 8;
const KEPT_BYTES = 256 * 2 ** 20;

export class Readback {
  readonly #opened: WebGpuDevice;
  readonly #faults: Faults;
  readonly #memory: Memory;
  readonly #commands: Commands;
  /** The one that was used last is the last. */
  readonly #idle: Lent[] = [];
  #isClosed = false;

  constructor(opened: WebGpuDevice, faults: Faults, memory: Memory, commands: Commands) {
    this.#opened = opened;
    this.#faults = faults;
    this.#memory = memory;
    this.#commands = commands;
  }

  /** What `from` holds as of this call, handed to `take` once it is here; the bytes are `take`'s only while it runs. */
  async read<Result>(
    from: GpuBuffer,
    offset: number,
    bytes: number,
    take: (bytes: ArrayBuffer) => Result,
  ): Promise<Result> {
    this.#faults.throwKnown();
    const { subjects } = this.#commands;
    const size = sizeFor(bytes, this.#opened.device.limits.maxBufferSize);
    const found = this.#idle.findLastIndex(({ buffer }) => buffer.size === size);
    if (found < 0) this.#commands.submit(); // lest it be refused together with the copy, if there is no room for that
    const staging = found < 0 ? this.#create(size) : this.#idle.splice(found, 1)[0];
    const { buffer } = staging;
    this.#commands.copy(from, offset, buffer, 0, bytes);
    this.#commands.submit(staging);
    if (await staging.refusal) await this.#check([...subjects, staging]);
    await this.#map(buffer, bytes);
    try {
      await this.#check(subjects);
      return take(buffer.getMappedRange(0, bytes));
    } finally {
      buffer.unmap();
      this.#keep(staging);
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const { buffer } of this.#idle.splice(0)) buffer.destroy();
  }

  /** Throws the first reason why what was read is worth nothing. */
  async #check(lents: readonly Lent[]): Promise<void> {
    await this.#faults.check();
    for (const lent of lents) await throwIfRefused(lent);
  }

  async #map(buffer: GpuBuffer, bytes: number): Promise<void> {
    try {
      await buffer.mapAsync(MAP_READ, 0, bytes);
    } catch (cause) {
      await lossOrSecond(this.#opened.device);
      throwIfLost(this.#opened, cause);
      await this.#faults.check();
      throw cause;
    }
  }

  #create(bytes: number): Lent {
    return this.#memory.lend({
      bytes,
      usage: usage.mapRead | usage.copyTarget,
      what: "numbers on their way back",
      advice: "read less at a time, or release states that are done with",
    });
  }

  #keep(staging: Lent): void {
    this.#idle.push(staging);
    const kept = () => this.#idle.reduce((sum, { buffer }) => sum + buffer.size, 0);
    while (this.#idle.length > (this.#isClosed ? 0 : KEPT) || kept() > KEPT_BYTES) this.#idle.shift()?.buffer.destroy();
  }
}

/** The loss of a device is told in a promise of its own, which may come later than the failures that it brings. */
async function lossOrSecond({ lost }: GpuDevice): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const second = new Promise((resolve) => {
    timer = setTimeout(() => resolve(null), 1000);
  });
  await Promise.race([lost, second]);
  clearTimeout(timer);
}

/** The next power of two, so that reads of any size share a few. */
function sizeFor(bytes: number, most: number): number {
  const size = 2 ** Math.max(8, Math.ceil(Math.log2(bytes)));
  return size <= most ? size : bytes;
}
