/** States on the GPU: each in a buffer of its own, until it is put beside others into the buffer of a batch. */

import { AerieError } from "../../errors.ts";
import type { StateLayout } from "../../model/state-layout.ts";
import type { State } from "../backend.ts";
import type { Commands } from "./commands.ts";
import type { WebGpuDevice } from "./device.ts";
import { type Memory, type Room, throwIfRefused } from "./memory.ts";
import type { Readback } from "./readback.ts";
import { isBatch, type WebGpuBatch } from "./sequences.ts";
import { roomOf, type WebGpuState } from "./tensor.ts";

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
    const room = this.#room(strideOf(layout), "a state", "release states that are done with");
    const state: WebGpuState = { layout, position: 0, tokensProcessed: 0, base: 0, room: null };
    this.#move(state, room, 0);
    return state;
  }

  read(state: State): Promise<Uint8Array> {
    const { base, layout } = state as WebGpuState;
    const room = roomOf(state as WebGpuState);
    if (layout.bytes === 0) return Promise.resolve(new Uint8Array());
    this.#commands.submit(); // that is not about this state
    return this.#commands.scope(() => {
      this.#commands.on(room);
      return this.#readback.read(room.buffer, 4 * base, layout.bytes, (bytes) => new Uint8Array(bytes.slice(0)));
    });
  }

  write(state: State, bytes: Uint8Array): void {
    const { base } = state as WebGpuState;
    const room = roomOf(state as WebGpuState);
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
    const room = this.#room(stride * states.length, what, "make smaller batches, or release states that are done with");
    try {
      for (const lent of [...states.map(roomOf), room]) await throwIfRefused(lent);
      for (const state of states) roomOf(state); // that it wasn't released meanwhile
    } catch (error) {
      room.buffer.destroy();
      throw error;
    }
    for (const [i, state] of states.entries())
      this.#commands.copy(roomOf(state).buffer, 4 * state.base, room.buffer, i * stride, stride);
    this.#commands.submit();
    for (const [i, state] of states.entries()) this.#move(state, room, (i * stride) / 4);
    return { states, layout: first.layout, position: Number.NaN, tokensProcessed: Number.NaN };
  }

  release(state: State): void {
    this.#commands.submit(); // what was enqueued may be about it
    for (const released of isBatch(state) ? state.states : [state as WebGpuState]) this.#move(released, null, 0);
  }

  /** Out of the room that it is in, which goes with the last that leaves it. */
  #move(state: WebGpuState, to: Room | null, base: number): void {
    const from = state.room;
    if (from && --from.states === 0) from.buffer.destroy();
    if (to) to.states++;
    state.room = to;
    state.base = base;
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
