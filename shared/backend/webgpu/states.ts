/** States on the GPU: each in a buffer of its own, until it is put beside others into the buffer of a batch. */

import { AerieError } from "../../errors.ts";
import type { StateLayout } from "../../model/state-layout.ts";
import type { State } from "../backend.ts";
import type { Commands } from "./commands.ts";
import type { WebGpuDevice } from "./device.ts";
import { type Memory, type Room, throwIfRefused } from "./memory.ts";
import type { Readback } from "./readback.ts";
import type { WebGpuBatch } from "./sequences.ts";
import type { WebGpuState } from "./tensor.ts";

export class States {
  readonly #opened: WebGpuDevice;
  readonly #memory: Memory;
  readonly #commands: Commands;
  readonly #readback: Readback;

  constructor(opened: WebGpuDevice, memory: Memory, commands: Commands, readback: Readback) {
    this.#opened = opened;
    this.#memory = memory;
    this.#commands = commands;
    this.#readback = readback;
  }

  create(layout: StateLayout): WebGpuState {
    const room = this.#room(strideOf(layout), "a state", "drop states that are done with");
    return { layout, position: 0, tokensProcessed: 0, base: 0, room };
  }

  read(state: State): Promise<Uint8Array> {
    const { room, base, layout } = state as WebGpuState;
    if (layout.bytes === 0) return Promise.resolve(new Uint8Array());
    this.#commands.submit(); // that is not about this state
    return this.#commands.scope(() => {
      this.#commands.on(room);
      return this.#readback.read(room.buffer, 4 * base, layout.bytes, (bytes) => new Uint8Array(bytes.slice(0)));
    });
  }

  write(state: State, bytes: Uint8Array): void {
    const { room, base } = state as WebGpuState;
    this.#commands.scope(() => {
      this.#commands.on(room);
      this.#commands.write(room.buffer, 4 * base, bytes);
    });
  }

  /** Copies the states side by side into one buffer, where they live from now on. They stay where they are until it is known to be there. */
  async batch(members: readonly State[]): Promise<WebGpuBatch> {
    const states = members as readonly WebGpuState[];
    const [first] = states;
    if (
      !first ||
      new Set(states).size !== states.length ||
      states.some(({ layout }) => layout.bytes !== first.layout.bytes)
    )
      throw new AerieError("batch", "a batch is one or more states of one layout, each of them once");
    const stride = strideOf(first.layout);
    const what = `${states.length} states side by side`;
    const room = this.#room(stride * states.length, what, "make smaller batches, or drop states that are done with");
    try {
      for (const lent of [...states.map((state) => state.room), room]) await throwIfRefused(lent);
    } catch (error) {
      room.buffer.destroy();
      throw error;
    }
    for (const [i, state] of states.entries()) {
      this.#commands.copy(state.room.buffer, 4 * state.base, room.buffer, i * stride, stride);
      state.room = room;
      state.base = (i * stride) / 4;
    }
    this.#commands.submit();
    return { states, layout: first.layout, position: Number.NaN, tokensProcessed: Number.NaN };
  }

  #room(bytes: number, what: string, advice: string): Room {
    const { maxStorageBufferBindingSize } = this.#opened.device.limits;
    if (bytes > maxStorageBufferBindingSize)
      throw new AerieError(
        "gpu.limits",
        `states of ${bytes} bytes side by side are more than the ${maxStorageBufferBindingSize} that this GPU binds: make smaller batches`,
      );
    return this.#memory.room({ bytes, what, advice });
  }
}

const strideOf = ({ bytes }: StateLayout): number => Math.max(16, Math.ceil(bytes / 16) * 16);
