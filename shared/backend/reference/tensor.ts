/** How the reference backend holds its tensors, weights and states: plain typed arrays. */

import type { StateLayout, StateRegion } from "../../model/state-layout.ts";
import type { State, Tensor, Weight } from "../backend.ts";
import type { WeightDType } from "../packed.ts";

export interface ReferenceTensor extends Tensor {
  readonly data: Float32Array; // [rows · columns]
}

export interface ReferenceWeight extends Weight {
  readonly data: Float32Array; // what the packed bytes stand for
  readonly dtype: WeightDType;
}

export interface ReferenceState extends State {
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export function createTensor(rows: number, columns: number): ReferenceTensor {
  return { rows, columns, data: new Float32Array(rows * columns) };
}

export const dataOf = (x: Tensor | Weight): Float32Array => (x as ReferenceTensor | ReferenceWeight).data;

export function createState(layout: StateLayout): ReferenceState {
  return { layout, position: 0, tokensProcessed: 0, bytes: new Uint8Array(layout.bytes) };
}

/** The f32 region as an array that reads and writes the state. */
export function f32Region(state: State, region: StateRegion): Float32Array {
  const { buffer } = (state as ReferenceState).bytes;
  return new Float32Array(buffer, region.offsetBytes, region.bytes / 4);
}
