/**
 * One memory for everything, laid out once and never grown:
 *
 *    ┌───────────┬──────────────────────────┬────────────┬───────────────────────────────┐
 *    │ constants │ weights, in two streams  │ state slots│ arena: activations, by scopes │
 *    └───────────┴──────────────────────────┴────────────┴───────────────────────────────┘
 *
 * Growing would copy gigabytes and detach every view, and an isolate has no room for both copies.
 */

import { AerieError } from "../../errors.ts";
import { FIRST_FREE_BYTE } from "./kernels.ts";
import { type Streams, totalBytes } from "./weight-streams.ts";

const PAGE_BYTES = 65_536;

/** wasm32 addresses 4 GiB. */
export const WASM32_BYTES = 2 ** 32;

const ALIGNMENT_BYTES = 64;
const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;

export interface MemorySizes {
  readonly weightStreams: Streams;
  readonly stateBytes: number; // of one slot
  readonly stateSlots: number;
  readonly arenaBytes: number;
}

/** A model does not fit the memory that its host has. */
export class BudgetError extends AerieError {
  readonly neededBytes: number;
  readonly budgetBytes: number;

  constructor(sizes: MemorySizes, neededBytes: number, budgetBytes: number) {
    const { weightStreams, stateBytes, stateSlots, arenaBytes } = sizes;
    super(
      "memory.budget",
      `the model needs ${neededBytes} bytes (weights ${totalBytes(weightStreams)}, ${stateSlots} states of ${stateBytes}, activations ${arenaBytes}), ` +
        `this host has ${budgetBytes}: pack the weights smaller (rg4) or run it where there is more memory`,
    );
    this.neededBytes = neededBytes;
    this.budgetBytes = budgetBytes;
  }
}

export class KernelMemory {
  readonly memory: WebAssembly.Memory;
  readonly sizes: MemorySizes;
  readonly #secondStart: number;
  readonly #statesStart: number;
  readonly #arenaStart: number;
  readonly #arenaEnd: number;
  #nextWeight: Streams;
  #arenaTop: number;
  #arenaPeak: number;
  /** Open scopes, outermost first, by a number of their own: how a cache knows that its bytes are still there. */
  readonly #scopes: number[] = [0];
  #scopesOpened = 0;

  /** Throws a `BudgetError` with both numbers if it would take more than `budgetBytes`. */
  constructor(sizes: MemorySizes, budgetBytes: number) {
    const { weightStreams, stateBytes, stateSlots, arenaBytes } = sizes;
    this.sizes = sizes;
    this.#secondStart = FIRST_FREE_BYTE + aligned(weightStreams.first);
    this.#nextWeight = { first: FIRST_FREE_BYTE, second: this.#secondStart };
    this.#statesStart = this.#secondStart + aligned(weightStreams.second);
    this.#arenaStart = this.#statesStart + stateSlots * aligned(stateBytes);
    const bytes = this.#arenaStart + aligned(arenaBytes);
    const pages = Math.ceil(bytes / PAGE_BYTES);
    this.#arenaEnd = pages * PAGE_BYTES;
    if (this.#arenaEnd > Math.min(budgetBytes, WASM32_BYTES))
      throw new BudgetError(sizes, this.#arenaEnd, Math.min(budgetBytes, WASM32_BYTES));
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.#arenaTop = this.#arenaStart;
    this.#arenaPeak = this.#arenaStart;
  }

  get bytes(): number {
    return this.#arenaEnd;
  }

  /** Most bytes of the arena that were ever in use. */
  get arenaPeakBytes(): number {
    return this.#arenaPeak - this.#arenaStart;
  }

  /** Bytes of all weights. */
  get weightBytes(): number {
    return totalBytes(this.sizes.weightStreams);
  }

  /** Room for the next weight in both streams; weights are never freed. */
  allocateWeight(bytes: Streams): Streams {
    const at = this.#nextWeight;
    const next = { first: at.first + aligned(bytes.first), second: at.second + aligned(bytes.second) };
    if (next.first > this.#secondStart || next.second > this.#statesStart)
      throw new AerieError(
        "memory.weights",
        `the weights take more than the ${this.weightBytes} bytes they were announced with`,
      );
    this.#nextWeight = next;
    return at;
  }

  stateSlot(slot: number): number {
    return this.#statesStart + slot * aligned(this.sizes.stateBytes);
  }

  /** Room in the arena until the innermost open scope ends. 64-byte aligned and padded: kernels may write to the end of a vector. */
  allocate(bytes: number): number {
    const at = this.#arenaTop;
    const top = at + aligned(bytes);
    if (top > this.#arenaEnd)
      throw new AerieError(
        "memory.arena",
        `activations need ${top - this.#arenaStart} bytes, there is room for ${this.#arenaEnd - this.#arenaStart}: call with fewer tokens at a time`,
      );
    this.#arenaTop = top;
    if (this.#arenaTop > this.#arenaPeak) this.#arenaPeak = this.#arenaTop;
    return at;
  }

  scope<Result>(body: () => Result): Result {
    const top = this.#arenaTop;
    this.#scopes.push(++this.#scopesOpened);
    try {
      return body();
    } finally {
      this.#scopes.pop();
      this.#arenaTop = top;
    }
  }

  /** A token for "as long as the innermost scope is open". */
  currentScope(): { readonly depth: number; readonly id: number } {
    const depth = this.#scopes.length - 1;
    return { depth, id: this.#scopes[depth] };
  }

  isOpen({ depth, id }: { readonly depth: number; readonly id: number }): boolean {
    return this.#scopes[depth] === id;
  }

  f32(at: number, length: number): Float32Array {
    return new Float32Array(this.memory.buffer, at, length);
  }

  u8(at: number, length: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, at, length);
  }
}
