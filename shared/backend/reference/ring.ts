/** The attention ring in its three storage formats: how a row of keys or values is rounded, stored and read back. */

import type { RingRegion, StateRegion } from "../../model/state-layout.ts";
import type { State } from "../backend.ts";
import { f16ToF32, f32ToF16, roundToEven } from "../dtype.ts";
import { f32Region, type ReferenceState } from "./tensor.ts";

/** Rows are [G·K]; the row of absolute position p lies in slot p mod W. */
export interface Ring {
  /** The row as it will read once it has been stored. */
  round(row: Float32Array): Float32Array;
  store(position: number, row: Float32Array): void;
  load(position: number): Float32Array;
}

export function openRing(state: State, { rows, scales }: RingRegion): Ring {
  switch (rows.dtype) {
    case "f32":
      return f32Ring(state, rows);
    case "f16":
      return f16Ring(state, rows);
    case "i8":
      if (!scales) throw new TypeError("an i8 ring has scales");
      return i8Ring(state, rows, scales);
    default:
      return rows.dtype satisfies never;
  }
}

function f32Ring(state: State, rows: StateRegion): Ring {
  const [W, G, K] = rows.shape;
  const stored = f32Region(state, rows);
  const at = (position: number) => (position % W) * G * K;
  return {
    round: (row) => row,
    store: (position, row) => stored.set(row, at(position)),
    load: (position) => stored.subarray(at(position), at(position) + G * K),
  };
}

function f16Ring(state: State, rows: StateRegion): Ring {
  const [W, G, K] = rows.shape;
  const stored = new Uint16Array((state as ReferenceState).bytes.buffer, rows.offsetBytes, W * G * K);
  const at = (position: number) => (position % W) * G * K;
  return {
    round: (row) => row.map((x) => f16ToF32(f32ToF16(x))),
    store: (position, row) => stored.set(Uint16Array.from(row, f32ToF16), at(position)),
    load: (position) => Float32Array.from(stored.subarray(at(position), at(position) + G * K), f16ToF32),
  };
}

function i8Ring(state: State, rows: StateRegion, scales: StateRegion): Ring {
  const [W, G, K] = rows.shape;
  const stored = new Int8Array((state as ReferenceState).bytes.buffer, rows.offsetBytes, W * G * K);
  const storedScales = f32Region(state, scales);
  const decode = (numbers: Int8Array, headScales: Float32Array) =>
    Float32Array.from(numbers, (q, at) => q * headScales[Math.floor(at / K)]);
  return {
    round: (row) => {
      const { numbers, headScales } = quantise(row, K);
      return decode(numbers, headScales);
    },
    store: (position, row) => {
      const { numbers, headScales } = quantise(row, K);
      stored.set(numbers, (position % W) * G * K);
      storedScales.set(headScales, (position % W) * G);
    },
    load: (position) => {
      const slot = position % W;
      return decode(stored.subarray(slot * G * K, (slot + 1) * G * K), storedScales.subarray(slot * G, (slot + 1) * G));
    },
  };
}

/** Per head of K numbers: scale = max |x| / 127 in f32, q = x / scale in f32 to the nearest integer, ties to even. */
function quantise(row: Float32Array, K: number): { numbers: Int8Array; headScales: Float32Array } {
  const numbers = new Int8Array(row.length);
  const headScales = new Float32Array(row.length / K);
  for (let g = 0; g < headScales.length; g++) {
    const head = row.subarray(g * K, (g + 1) * K);
    headScales[g] = head.reduce((max, x) => Math.max(max, Math.abs(x)), 0) / 127;
    if (headScales[g] === 0) continue; // underflow: the head reads as zeros
    for (let d = 0; d < K; d++) {
      // A subnormal scale is so coarse that the quotient may pass 127.
      const q = roundToEven(Math.fround(head[d] / headScales[g]));
      numbers[g * K + d] = Math.max(-127, Math.min(127, q));
    }
  }
  return { numbers, headScales };
}
