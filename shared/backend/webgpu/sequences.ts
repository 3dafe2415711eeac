/**
 * Whose state a call's rows work on: one state, whose next tokens they are, or a batch of states, one row for each. Kernels find the
 * rows' states and positions in a table that is uploaded once for the blocks of a call (sequences.wgsl).
 */

import { AerieError } from "../../errors.ts";
import type { State, StateBatch } from "../backend.ts";
import type { Commands } from "./commands.ts";
import type { Room } from "./memory.ts";
import { roomOf, type WebGpuState } from "./tensor.ts";

export interface WebGpuBatch extends StateBatch {
  readonly states: readonly WebGpuState[];
}

export const isBatch = (state: State): state is WebGpuBatch => "states" in state;

/** What dispatches on a state need: the room it lies in, what is added to a region's place in it, and sequences.wgsl's two parameters. */
export interface Sequences {
  readonly room: Room;
  readonly base: number;
  readonly table: number;
  readonly position: number;
}

const NO_TABLE = 0xffffffff;

export class SequenceTable {
  readonly #commands: Commands;
  #batch: StateBatch | null = null;
  #positions: readonly number[] = [];
  #epoch = -1;
  #at = 0;

  constructor(commands: Commands) {
    this.#commands = commands;
  }

  /** For as many dispatches as follow at once. */
  place(state: State, rows: number, dispatches: number): Sequences {
    if (!isBatch(state)) {
      const { base, position } = state as WebGpuState;
      const room = roomOf(state as WebGpuState);
      this.#commands.on(room);
      this.#commands.reserve(dispatches, 0);
      return { room, base, table: NO_TABLE, position };
    }
    const { states } = state;
    if (states.length !== rows)
      throw new AerieError("batch", `a batch of ${states.length} states takes as many rows, found ${rows}`);
    const room = roomOf(states[0]);
    if (states.some((member) => roomOf(member) !== room))
      throw new AerieError("batch", "a state of this batch has been put into another one since: make the batch anew");
    this.#commands.on(room);
    this.#commands.reserve(dispatches, 0);
    const positions = states.map(({ position }) => position);
    const isThere =
      this.#batch === state &&
      this.#epoch === this.#commands.epoch &&
      positions.every((position, i) => position === this.#positions[i]);
    if (!isThere) {
      this.#commands.reserve(dispatches, 2 * rows);
      this.#at = this.#commands.upload(2 * rows, (words) => {
        for (const [t, { base, position }] of states.entries()) words.set([base, position], 2 * t);
      });
      this.#batch = state;
      this.#positions = positions;
      this.#epoch = this.#commands.epoch;
    }
    return { room, base: 0, table: this.#at, position: 0 };
  }
}

/** The absolute position of each row. */
export function positionsOf(state: State, rows: number): number[] {
  if (isBatch(state)) return state.states.map(({ position }) => position);
  return Array.from({ length: rows }, (_, t) => state.position + t);
}
