/** States on the GPU: each in a buffer of its own, until it is put beside others into the buffer of a batch. */

import { AerieError } from "../../errors.ts";
import type { StateLayout } from "../../model/state-layout.ts";
import type { State } from "../backend.ts";
import type { Commands } from "./commands.ts";
import type { WebGpuDevice } from "./device.ts";
import { type GpuBuffer, usage } from "./gpu.ts";
import type { Readback } from "./readback.ts";
import type { WebGpuBatch } from "./sequences.ts";
import type { WebGpuState } from "./tensor.ts";

export class States {
  readonly #opened: WebGpuDevice;
  readonly #commands: Commands;
  readonly #readback: Readback;

  constructor(opened: WebGpuDevice, commands: Commands, readback: Readback) {
    this.#opened = opened;
    this.#commands = commands;
    this.#readback = readback;
  }

  create(layout: StateLayout): WebGpuState {
    return { layout, position: 0, tokensProcessed: 0, base: 0, ...this.#room(strideOf(layout)) };
  }

  read(state: State): Promise<Uint8Array> {
    const { buffer, base, layout } = state as WebGpuState;
    if (layout.bytes === 0) return Promise.resolve(new Uint8Array());
    return this.#readback.read(buffer, 4 * base, layout.bytes, (bytes) => new Uint8Array(bytes.slice(0)));
  }

  write(state: State, bytes: Uint8Array): void {
    const { buffer, base } = state as WebGpuState;
    this.#commands.submit(); // what was enqueued works on the state as it is
    this.#opened.device.queue.writeBuffer(buffer, 4 * base, bytes);
  }

  /** Copies the states side by side into one buffer, where they live from now on. */
  batch(members: readonly State[]): WebGpuBatch {
    const states = members as readonly WebGpuState[];
    const [first] = states;
    if (
      !first ||
      new Set(states).size !== states.length ||
      states.some(({ layout }) => layout.bytes !== first.layout.bytes)
    )
      throw new AerieError("batch", "a batch is one or more states of one layout, each of them once");
    const stride = strideOf(first.layout);
    const { buffer, group } = this.#room(stride * states.length);
    for (const [i, state] of states.entries()) {
      this.#commands.copy(state.buffer, 4 * state.base, buffer, i * stride, stride);
      Object.assign(state, { buffer, group, base: (i * stride) / 4 });
    }
    this.#commands.submit();
    return { states, layout: first.layout, position: Number.NaN, tokensProcessed: Number.NaN };
  }

  #room(bytes: number): { buffer: GpuBuffer; group: object } {
    const { device, pipelines } = this.#opened;
    if (bytes > device.limits.maxStorageBufferBindingSize)
      throw new AerieError(
        "gpu.limits",
        `states of ${bytes} bytes side by side are more than the ${device.limits.maxStorageBufferBindingSize} that this GPU binds: make smaller batches`,
      );
    const buffer = device.createBuffer({
      size: bytes,
      usage: usage.storage | usage.copySource | usage.copyTarget,
    });
    const entries = [{ binding: 0, resource: { buffer } }];
    return { buffer, group: device.createBindGroup({ layout: pipelines.layouts.state, entries }) };
  }
}

const strideOf = ({ bytes }: StateLayout): number => Math.max(16, Math.ceil(bytes / 16) * 16);
