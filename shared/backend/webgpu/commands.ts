/**
 * What has been enqueued and not yet handed to the GPU. Verbs record dispatches; `submit` hands them over in order, after the
 * parameters and uploads that they read. Nothing is allocated on the GPU: parameters go to slots of one uniform buffer.
 */

import { AerieError } from "../../errors.ts";
import { DeviceLostError, type WebGpuDevice } from "./device.ts";
import { type GpuBuffer, type GpuCommandEncoder, type GpuComputePass, usage } from "./gpu.ts";
import type { Kernel } from "./kernels.ts";

/** Counts since the backend was made. */
export interface Counters {
  dispatches: number;
  /** Calls on a compute pass: pipelines, bind groups and dispatches. */
  commands: number;
  submissions: number;
}

/** The bind groups of a dispatch; what it leaves out stays as it is. */
export interface Groups {
  readonly weight?: object;
  readonly state?: object;
}

const SLOT_BYTES = 256; // every device takes uniform offsets at multiples of this
const SLOTS = 1024;
const SLOT_WORDS = SLOT_BYTES / 4;

const SCOPES = ["validation", "out-of-memory", "internal"] as const;

const scratch = new DataView(new ArrayBuffer(4));

/** An f32 parameter as the word that a kernel reads. */
export function f32Word(x: number): number {
  scratch.setFloat32(0, x);
  return scratch.getUint32(0);
}

export class Commands {
  readonly counters: Counters = { dispatches: 0, commands: 0, submissions: 0 };
  /** Changes with every submission: what was uploaded before is no longer there. */
  epoch = 0;
  readonly #opened: WebGpuDevice;
  readonly #params: GpuBuffer;
  readonly #paramWords = new Uint32Array(SLOTS * SLOT_WORDS);
  readonly #offsets = Uint32Array.from({ length: SLOTS }, (_, slot) => slot * SLOT_BYTES);
  readonly #uploads: GpuBuffer;
  readonly #uploadWords: Uint32Array<ArrayBuffer>;
  readonly #base: object;
  readonly #noWeight: object;
  readonly #noState: object;
  readonly #quantised: object;
  #failure: Promise<string | null> = Promise.resolve(null);
  #slot = 0;
  #uploadTop = 0;
  #encoder: GpuCommandEncoder | null = null;
  #pass: GpuComputePass | null = null;
  #pipeline: object | null = null;
  #weight: object | null = null;
  #state: object | null = null;

  /** `uploadWords`: room for what the verbs of one call upload. */
  constructor(
    opened: WebGpuDevice,
    buffers: { readonly arena: GpuBuffer; readonly quantised: GpuBuffer },
    uploadWords: number,
  ) {
    this.#opened = opened;
    const { device, pipelines } = opened;
    const { layouts } = pipelines;
    this.#params = device.createBuffer({ size: SLOTS * SLOT_BYTES, usage: usage.uniform | usage.copyTarget });
    this.#uploadWords = new Uint32Array(uploadWords);
    this.#uploads = device.createBuffer({ size: 4 * uploadWords, usage: usage.storage | usage.copyTarget });
    const nothing = device.createBuffer({ size: 16, usage: usage.storage });
    this.#base = device.createBindGroup({
      layout: layouts.base,
      entries: [
        { binding: 0, resource: { buffer: this.#params, size: SLOT_BYTES } },
        { binding: 1, resource: { buffer: buffers.arena } },
        { binding: 2, resource: { buffer: this.#uploads } },
      ],
    });
    this.#noWeight = device.createBindGroup({
      layout: layouts.weight,
      entries: [0, 1, 2].map((binding) => ({ binding, resource: { buffer: nothing } })),
    });
    this.#noState = device.createBindGroup({
      layout: layouts.state,
      entries: [{ binding: 0, resource: { buffer: device.createBuffer({ size: 16, usage: usage.storage }) } }],
    });
    this.#quantised = device.createBindGroup({
      layout: layouts.quantised,
      entries: [{ binding: 0, resource: { buffer: buffers.quantised } }],
    });
  }

  /** Records one dispatch of x × y × z workgroups. `words` are the kernel's `Params`, in order. */
  dispatch(
    kernel: Kernel,
    groups: Groups,
    [x, y, z]: readonly [number, number, number],
    words: readonly number[],
  ): void {
    this.reserve(1, 0);
    const pass = this.#openPass();
    const pipeline = this.#opened.pipelines.get(kernel);
    if (pipeline !== this.#pipeline) {
      pass.setPipeline(pipeline);
      this.#pipeline = pipeline;
      this.counters.commands++;
    }
    const { weight = this.#noWeight, state = this.#noState } = groups;
    if (weight !== this.#weight) {
      pass.setBindGroup(1, weight);
      this.#weight = weight;
      this.counters.commands++;
    }
    if (state !== this.#state) {
      pass.setBindGroup(2, state);
      this.#state = state;
      this.counters.commands++;
    }
    this.#paramWords.set(words, this.#slot * SLOT_WORDS);
    pass.setBindGroup(0, this.#base, this.#offsets, this.#slot, 1);
    pass.dispatchWorkgroups(x, y, z);
    this.#slot++;
    this.counters.commands += 2;
    this.counters.dispatches++;
  }

  /** Makes room for so many dispatches and uploaded words that must not be torn apart by a submission. */
  reserve(dispatches: number, words: number): void {
    if (words > this.#uploadWords.length)
      throw new AerieError(
        "memory.arena",
        `a call uploads ${words} words, there is room for ${this.#uploadWords.length}: call with fewer tokens at a time`,
      );
    if (this.#slot + dispatches > SLOTS || this.#uploadTop + words > this.#uploadWords.length) this.submit();
  }

  /** Where `length` words will lie in `uploads`, to be written by `fill` until the next submission. */
  upload(length: number, fill: (words: Uint32Array<ArrayBuffer>) => void): number {
    const at = this.#uploadTop;
    fill(this.#uploadWords.subarray(at, at + length));
    this.#uploadTop += length;
    return at;
  }

  /** Copies as of now: after all that was recorded, before all that will be. */
  copy(from: GpuBuffer, fromOffset: number, to: GpuBuffer, toOffset: number, bytes: number): void {
    this.#endPass();
    this.#openEncoder().copyBufferToBuffer(from, fromOffset, to, toOffset, bytes);
  }

  /** Hands everything that was recorded to the GPU. */
  submit(): void {
    if (!this.#encoder) return;
    const { device } = this.#opened;
    this.#endPass();
    // Without scopes a refused command is dropped and its results are zeros.
    for (const filter of SCOPES) device.pushErrorScope(filter);
    if (this.#slot > 0) device.queue.writeBuffer(this.#params, 0, this.#paramWords, 0, this.#slot * SLOT_WORDS);
    if (this.#uploadTop > 0) device.queue.writeBuffer(this.#uploads, 0, this.#uploadWords, 0, this.#uploadTop);
    device.queue.submit([this.#encoder.finish()]);
    const errors = SCOPES.map(() => device.popErrorScope().catch(() => null)); // a lost device is told by the read
    this.#failure = Promise.all([this.#failure, ...errors]).then(
      ([before, ...found]) => before ?? found.find((error) => error !== null)?.message ?? null,
    );
    this.#encoder = null;
    this.#slot = 0;
    this.#uploadTop = 0;
    this.epoch++;
    this.counters.submissions++;
  }

  /** Throws what the error scopes of earlier submissions caught. */
  async check(): Promise<void> {
    const failure = await this.#failure;
    if (failure !== null) throw new AerieError("gpu.invalid", `the GPU refused a command: ${failure}`);
  }

  #openEncoder(): GpuCommandEncoder {
    const reason = this.#opened.lossReason();
    if (reason !== null) throw new DeviceLostError(reason);
    this.#encoder ??= this.#opened.device.createCommandEncoder();
    return this.#encoder;
  }

  #openPass(): GpuComputePass {
    if (this.#pass) return this.#pass;
    this.#pass = this.#openEncoder().beginComputePass();
    this.#pass.setBindGroup(3, this.#quantised);
    this.counters.commands++;
    return this.#pass;
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = null;
    this.#pipeline = null;
    this.#weight = null;
    this.#state = null;
  }
}
