/**
 * Room on the GPU. Where there is none, WebGPU hands out a buffer all the same, of which nothing can be made, and says so later. Which of
 * that ends the backend, and which a single state or read, is decided here.
 */

import { AerieError } from "../../errors.ts";
import type { WebGpuDevice } from "./device.ts";
import { type Faults, watched } from "./faults.ts";
import { type GpuBuffer, usage } from "./gpu.ts";
import type { GroupLayouts } from "./pipelines.ts";

export interface BufferRequest {
  readonly bytes: number;
  /** Default: for kernels, and copies in and out. */
  readonly usage?: number;
  /** For the sentence that tells of a refusal: what the room is for, and what can be done about it. */
  readonly what: string;
  readonly advice: string;
}

/** A buffer that may turn out to be none. */
export interface Lent {
  readonly buffer: GpuBuffer;
  /** Why there is no room for it; null: there is. */
  readonly refusal: Promise<AerieError | null>;
}

/** Waits until it is known whether it is there. */
export async function throwIfRefused({ refusal }: Lent): Promise<void> {
  const error = await refusal;
  if (error) throw error;
}

/** A buffer in which one state lies, or those of a batch. */
export interface Room extends Lent {
  readonly group: object;
  /** States that are in it. */
  states: number;
}

/** The whole of a buffer, or its first `size` bytes. */
type Bound = { readonly buffer: GpuBuffer; readonly size?: number };

export class Memory {
  readonly #opened: WebGpuDevice;
  readonly #faults: Faults;
  readonly #owned: GpuBuffer[] = [];

  constructor(opened: WebGpuDevice, faults: Faults) {
    this.#opened = opened;
    this.#faults = faults;
  }

  /** For what the backend is of no use without. */
  buffer(request: BufferRequest): GpuBuffer {
    const { buffer, refusal } = this.lend(request);
    this.#faults.add(refusal);
    this.#owned.push(buffer);
    return buffer;
  }

  /** Gives back what the backend is of no use without. */
  close(): void {
    for (const buffer of this.#owned.splice(0)) buffer.destroy();
  }

  /** A bind group, likewise. */
  group(layout: keyof GroupLayouts, bound: readonly Bound[]): object {
    return this.#faults.watch(() => this.#group(layout, bound));
  }

  /** For a read, without which the others go on. */
  lend(request: BufferRequest): Lent {
    return this.#ask(request, (buffer) => ({ buffer }));
  }

  /** For states, likewise. */
  room(request: BufferRequest): Room {
    return this.#ask(request, (buffer) => ({ buffer, group: this.#group("state", [{ buffer }]), states: 0 }));
  }

  #group(layout: keyof GroupLayouts, bound: readonly Bound[]): object {
    const { device, pipelines } = this.#opened;
    const entries = bound.map((resource, binding) => ({ binding, resource }));
    return device.createBindGroup({ layout: pipelines.layouts[layout], entries });
  }

  #ask<Made>(request: BufferRequest, make: (buffer: GpuBuffer) => Made): Made & Pick<Lent, "refusal"> {
    const { device } = this.#opened;
    const { bytes, usage: flags = usage.storage | usage.copySource | usage.copyTarget } = request;
    const { result, refusal } = watched(device, () => make(device.createBuffer({ size: bytes, usage: flags })));
    return { ...result, refusal: told(request, refusal) };
  }
}

async function told({ bytes, what, advice }: BufferRequest, refusal: Promise<string | null>) {
  const message = await refusal;
  if (message === null) return null;
  const [reason] = message.split("\n");
  return new AerieError("gpu.memory", `the GPU has no room for ${what}, ${bytes} bytes (${reason}): ${advice}`);
}
