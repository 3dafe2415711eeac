/**
 * What has been enqueued and not yet handed to the GPU. Verbs record dispatches; `submit` hands them over in order, after the
 * parameters and uploads that they read. Nothing is allocated on the GPU: parameters go to slots of one uniform buffer.
 */

import { AerieError } from "../../errors.ts";
import { throwIfLost, type WebGpuDevice } from "./device.ts";
import type { Faults } from "./faults.ts";
import { type GpuBuffer, type GpuCommandEncoder, type GpuComputePass, usage } from "./gpu.ts";
import type { Kernel } from "./kernels.ts";
import type { Lent, Memory, Room } from "./memory.ts";

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
  readonly state?: Room;
}

const SLOT_BYTES = 256; // every device takes uniform offsets at multiples of this
const SLOTS = 1024;
const SLOT_WORDS = SLOT_BYTES / 4;

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
  /** The states that the open scope has worked on: what it reads is worth no more than they are. */
  subjects: readonly Lent[] = [];
  readonly #opened: WebGpuDevice;
  readonly #faults: Faults;
  readonly #params: GpuBuffer;
  readonly #paramWords = new Uint32Array(SLOTS * SLOT_WORDS);
  readonly #offsets = Uint32Array.from({ length: SLOTS }, (_, slot) => slot * SLOT_BYTES);
  readonly #uploads: GpuBuffer;
  readonly #uploadWords: Uint32Array<ArrayBuffer>;
  readonly #base: object;
  readonly #noWeight: object;
  readonly #noState: object;
  readonly #quantised: object;
  /** The state that what is recorded now is about. */
  #subject: Lent | null = null;
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
    faults: Faults,
    memory: Memory,
    buffers: { readonly arena: GpuBuffer; readonly quantised: GpuBuffer },
    uploadWords: number,
  ) {
    this.#opened = opened;
    this.#faults = faults;
    const create = (what: string, bytes: number, flags: number) =>
      memory.buffer({ what, bytes, usage: flags, advice: "close other programs that use it" });
    this.#params = create("parameters", SLOTS * SLOT_BYTES, usage.uniform | usage.copyTarget);
    this.#uploadWords = new Uint32Array(uploadWords);
    this.#uploads = create("token ids and angles", 4 * uploadWords, usage.storage | usage.copyTarget);
    const nothing = create("what a kernel leaves out", 16, usage.storage);
    const noState = create("what a kernel leaves out", 16, usage.storage);
    const params = { buffer: this.#params, size: SLOT_BYTES };
    this.#base = memory.group("base", [params, { buffer: buffers.arena }, { buffer: this.#uploads }]);
    this.#noWeight = memory.group("weight", [{ buffer: nothing }, { buffer: nothing }, { buffer: nothing }]);
    this.#noState = memory.group("state", [{ buffer: noState }]);
    this.#quantised = memory.group("quantised", [{ buffer: buffers.quantised }]);
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
    const { weight = this.#noWeight } = groups;
    const state = groups.state?.group ?? this.#noState;
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

  /** Hands over what `record` records, at its end, and forgets what states that was about. */
  scope<Result>(record: () => Result): Result {
    const [subject, subjects] = [this.#subject, this.subjects];
    try {
      return record();
    } finally {
      this.submit();
      this.#subject = subject;
      this.subjects = subjects;
    }
  }

  /**
   * Says what state is worked on from here on, before anything that must not be torn apart. No submission is about two: if one is
   * refused for want of its state, no other state is spoilt.
   */
  on(subject: Lent): void {
    if (this.#subject === subject) return;
    if (this.#subject) this.submit();
    this.#subject = subject;
    if (!this.subjects.includes(subject)) this.subjects = [...this.subjects, subject];
  }

  /** Writes after all that was recorded. */
  write(to: GpuBuffer, offset: number, bytes: Uint8Array): void {
    this.submit();
    this.#watch(() => this.#opened.device.queue.writeBuffer(to, offset, bytes), null);
  }

  /** Waits until the GPU has done everything that was recorded. */
  async settled(): Promise<void> {
    this.submit();
    await this.#opened.device.queue.onSubmittedWorkDone().catch(() => undefined); // a lost device is told here, or by the next read
    throwIfLost(this.#opened);
    await this.#faults.check();
  }

  /** Hands everything that was recorded to the GPU. `staging`: a buffer that it copies to. */
  submit(staging: Lent | null = null): void {
    const encoder = this.#encoder;
    if (!encoder) return;
    const { queue } = this.#opened.device;
    this.#endPass();
    // Unwatched, a refused command is dropped and its results are zeros.
    this.#watch(() => {
      if (this.#slot > 0) queue.writeBuffer(this.#params, 0, this.#paramWords, 0, this.#slot * SLOT_WORDS);
      if (this.#uploadTop > 0) queue.writeBuffer(this.#uploads, 0, this.#uploadWords, 0, this.#uploadTop);
      queue.submit([encoder.finish()]);
    }, staging);
    this.#encoder = null;
    this.#slot = 0;
    this.#uploadTop = 0;
    this.epoch++;
    this.counters.submissions++;
  }

  #watch(act: () => void, staging: Lent | null): void {
    this.#faults.watch(
      act,
      [this.#subject, staging].filter((lent) => lent !== null),
    );
  }

  #openEncoder(): GpuCommandEncoder {
    throwIfLost(this.#opened);
    this.#faults.throwKnown();
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
