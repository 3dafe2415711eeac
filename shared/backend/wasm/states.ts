/**
 * States in a fixed number of slots. A state that is used gets a slot; the one that was used longest ago gives its own up and
 * lives on as a copy outside the memory. So there may be any number of conversations, and going on with the same one moves nothing.
 */

import { AerieError } from "../../errors.ts";
import type { StateLayout, StateRegion } from "../../model/state-layout.ts";
import type { State } from "../backend.ts";
import type { KernelMemory } from "./memory.ts";

export interface WasmState extends State {
  /** Its bytes while it has no slot; null: zeros. */
  outside: Uint8Array | null;
  slot: number | null;
  lastUse: number;
}

export class StateSlots {
  readonly #memory: KernelMemory;
  readonly #owners: (WasmState | null)[];
  #uses = 0;

  constructor(memory: KernelMemory) {
    this.#memory = memory;
    this.#owners = Array(memory.sizes.stateSlots).fill(null);
  }

  create(layout: StateLayout): WasmState {
    const { stateBytes } = this.#memory.sizes;
    if (layout.bytes > stateBytes)
      throw new AerieError(
        "memory.states",
        `a state of ${layout.bytes} bytes does not fit the ${stateBytes} bytes that the backend was made for`,
      );
    return { layout, position: 0, tokensProcessed: 0, outside: null, slot: null, lastUse: 0 };
  }

  /** Where a region of a state lies, until another state is used. */
  address(state: State, region: StateRegion): number {
    return this.#memory.stateSlot(this.#enter(state as WasmState)) + region.offsetBytes;
  }

  read(state: State): Uint8Array {
    const { slot, outside, layout } = state as WasmState;
    if (slot !== null) return this.#bytes(slot, layout).slice();
    return outside ? outside.slice() : new Uint8Array(layout.bytes);
  }

  write(state: State, bytes: Uint8Array): void {
    const to = state as WasmState;
    if (to.slot !== null) this.#bytes(to.slot, to.layout).set(bytes);
    else to.outside = bytes.slice();
  }

  #enter(state: WasmState): number {
    state.lastUse = ++this.#uses;
    if (state.slot !== null) return state.slot;
    let slot = 0;
    for (let other = 0; other < this.#owners.length; other++) {
      if ((this.#owners[other]?.lastUse ?? 0) < (this.#owners[slot]?.lastUse ?? 0)) slot = other;
    }
    const leaving = this.#owners[slot];
    if (leaving) {
      leaving.outside = this.read(leaving);
      leaving.slot = null;
    }
    const bytes = this.#bytes(slot, state.layout);
    if (state.outside) bytes.set(state.outside);
    else bytes.fill(0);
    state.outside = null;
    state.slot = slot;
    this.#owners[slot] = state;
    return slot;
  }

  #bytes(slot: number, layout: StateLayout): Uint8Array {
    return this.#memory.u8(this.#memory.stateSlot(slot), layout.bytes);
  }
}
