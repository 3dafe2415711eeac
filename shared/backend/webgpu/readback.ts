/** Numbers on their way back from the GPU: copied when asked for, through buffers that are used again. */

import type { Commands } from "./commands.ts";
import { throwIfLost, type WebGpuDevice } from "./device.ts";
import type { Faults } from "./faults.ts";
import { type GpuBuffer, MAP_READ, usage } from "./gpu.ts";
import { type Lent, type Memory, throwIfRefused } from "./memory.ts";

// Of each size; more are open only while a caller waits for several reads at once.
const KEPT = 2;

export class Readback {
  readonly #opened: WebGpuDevice;
  readonly #faults: Faults;
  readonly #memory: Memory;
  readonly #commands: Commands;
  readonly #idle = new Map<number, Lent[]>();

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
    let staging = this.#idle.get(bytes)?.pop();
    if (!staging) {
      this.#commands.submit(); // lest it be refused together with the copy, if there is no room for that
      staging = this.#create(bytes);
    }
    const { buffer } = staging;
    this.#commands.copy(from, offset, buffer, 0, bytes);
    this.#commands.submit(staging);
    if (await staging.refusal) await this.#check([...subjects, staging]);
    await this.#map(buffer);
    try {
      await this.#check(subjects);
      return take(buffer.getMappedRange());
    } finally {
      buffer.unmap();
      this.#keep(staging);
    }
  }

  close(): void {
    for (const staging of [...this.#idle.values()].flat()) staging.buffer.destroy();
    this.#idle.clear();
  }

  /** Throws the first reason why what was read is worth nothing. */
  async #check(lents: readonly Lent[]): Promise<void> {
    await this.#faults.check();
    for (const lent of lents) await throwIfRefused(lent);
  }

  async #map(buffer: GpuBuffer): Promise<void> {
    try {
      await buffer.mapAsync(MAP_READ);
    } catch (cause) {
      await new Promise((resolve) => void setTimeout(() => resolve(null), 0)); // the loss is told in a promise of its own
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
    const { buffer } = staging;
    const idle = this.#idle.get(buffer.size) ?? [];
    this.#idle.set(buffer.size, idle);
    if (idle.length < KEPT) idle.push(staging);
    else buffer.destroy();
  }
}
