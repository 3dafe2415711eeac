/** A model that many conversations share, and that is pulled away under them: by real traps of its kernels, or by chance. */

import { fileURLToPath } from "node:url";
import { loadKernels } from "../../cli/kernels.ts";
import { openTextSide } from "../../cli/model-argument.ts";
import { nodeFolder } from "../../cli/node-folder.ts";
import type { Backend, BackendNeeds, Tensor } from "../../shared/backend/backend.ts";
import { type WasmBackend, type WasmOptions, wasmBackend } from "../../shared/backend/wasm/index.ts";
import type { Admission, LoadedModel, ModelSource } from "../../shared/conversation/model-source.ts";
import { loadModel } from "../../shared/load-model.ts";

const folder = fileURLToPath(new URL("../../models/fledgling-4m", import.meta.url));
const kernels = loadKernels();
const textSide = await openTextSide(folder);

/**
 * A backend whose recurrence traps once, at the call for which `isNow` says so: it is told to read on where the memory ends,
 * with half of its work done and written.
 */
export function trapping(backend: WasmBackend, isNow: () => boolean): Backend {
  return {
    ...backend,
    rgLru: (x, ...rest) => {
      if (!isNow()) return backend.rgLru(x, ...rest);
      const end = backend.memory.memory.buffer.byteLength;
      return backend.rgLru({ ...x, at: end - 2 * x.columns } as Tensor, ...rest);
    },
  };
}

/** Whatever the backend is made from a fresh wasm instance. */
export async function freshModel(
  options: WasmOptions,
  wrap: (backend: WasmBackend) => Backend = (backend) => backend,
): Promise<LoadedModel> {
  const source = nodeFolder(folder);
  try {
    const create = (needs: BackendNeeds) => wrap(wasmBackend(kernels, needs, options));
    return { id: "fledgling", digest: "d".repeat(64), model: await loadModel(source, create), ...textSide };
  } finally {
    await source.close();
  }
}

/** Calls of the recurrence until one of them traps, at most: a turn makes about fifty. */
const CALLS_UNTIL_TRAP = 1500;
/** Slices of a turn until the model is discarded for no reason, at most: a turn has about four. */
const SLICES_UNTIL_DROP = 400;

export class SharedModel implements ModelSource {
  readonly counts = { traps: 0, reused: 0, dropped: 0, outlived: 0, loads: 0 };
  readonly #random: () => number;
  #current: Promise<LoadedModel> | null = null;
  readonly #discarded = new WeakSet<LoadedModel>();
  readonly #spoilt = new WeakSet<Backend>();
  #waiting: (() => void)[] = [];
  #isPumping = false;
  #slicesUntilDrop: number;

  constructor(random: () => number) {
    this.#random = random;
    this.#slicesUntilDrop = Math.ceil(SLICES_UNTIL_DROP * random());
  }

  async load(): Promise<LoadedModel> {
    this.#current ??= this.#loadFresh();
    const loaded = await this.#current;
    if (this.#spoilt.has(loaded.model.backend)) this.counts.reused++;
    return loaded;
  }

  discard(loaded: LoadedModel): void {
    this.#discarded.add(loaded);
    void this.#current?.then((current) => {
      if (current === loaded) this.#current = null;
    });
  }

  admit(loaded: LoadedModel): Admission {
    return {
      tokensPerYield: 1 + Math.floor(6 * this.#random()),
      yieldToEvents: async () => {
        await this.#turnOfMine();
        if (this.#discarded.has(loaded)) this.counts.outlived++;
        if (--this.#slicesUntilDrop > 0) return;
        this.#slicesUntilDrop = Math.ceil(SLICES_UNTIL_DROP * this.#random());
        this.counts.dropped++;
        this.discard(loaded);
      },
      release: () => undefined,
    };
  }

  /** Lets others compute for so many of their slices. */
  async pause(slices: number): Promise<void> {
    for (let slice = 0; slice < slices; slice++) await this.#turnOfMine();
  }

  /** Resolves when chance picks this one of those who wait. */
  #turnOfMine(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      if (!this.#isPumping) setImmediate(() => this.#pump());
      this.#isPumping = true;
    });
  }

  #pump(): void {
    for (let picks = Math.ceil(this.#waiting.length * this.#random()); picks > 0; picks--) {
      const [chosen] = this.#waiting.splice(Math.floor(this.#waiting.length * this.#random()), 1);
      chosen();
    }
    this.#isPumping = this.#waiting.length > 0;
    if (this.#isPumping) setImmediate(() => this.#pump());
  }

  async #loadFresh(): Promise<LoadedModel> {
    this.counts.loads++;
    const stateSlots = 1 + Math.floor(3 * this.#random());
    const maxTokens = [5, 16, 64][Math.floor(3 * this.#random())];
    return freshModel({ stateSlots, maxTokens }, (backend) => this.#trapping(backend));
  }

  #trapping(inner: WasmBackend): Backend {
    let left = Math.ceil(CALLS_UNTIL_TRAP * this.#random());
    const backend = trapping(inner, () => {
      if (--left !== 0) return false;
      this.counts.traps++;
      setImmediate(() => this.#spoilt.add(backend)); // whoever met it has told by then
      return true;
    });
    return backend;
  }
}
