/** What the opaque handles are in this backend: places in the arena, and buffers. */

import { AerieError } from "../../errors.ts";
import type { StateLayout } from "../../model/state-layout.ts";
import type { State, Tensor } from "../backend.ts";
import type { Room } from "./memory.ts";

export interface WebGpuTensor extends Tensor {
  /** Of its first number in the arena. */
  readonly at: number;
  /** Its int8 forms and those of its views, made by the first product that needs them and shared by the others. */
  readonly quantised: Quantised[];
}

/** Rows of `columns` numbers as int8, each with groups of its own (activations.wgsl). */
export interface Quantised {
  readonly at: number;
  readonly rows: number;
  readonly columns: number;
  readonly form: "rg8" | "rg4";
  /** Where it lies in the buffer of int8 activations. */
  readonly place: number;
}

export interface WebGpuState extends State {
  readonly layout: StateLayout;
  /** null: it was released. */
  room: Room | null;
  /** Where it begins in its room, in words. */
  base: number;
}

export const atOf = (x: Tensor): number => (x as WebGpuTensor).at;

export function roomOf({ room }: WebGpuState): Room {
  if (room) return room;
  throw new AerieError("state.released", "a state was used after its release: restore it from a saved one");
}

/** For verbs that change x in place: no int8 form stands for its numbers any more. */
export function forgetQuantised(x: Tensor): void {
  (x as WebGpuTensor).quantised.length = 0;
}
