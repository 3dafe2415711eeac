/** Seeded numbers: the same on every run, so that a failure can be run again. */

import { roundToEven } from "../../shared/backend/dtype.ts";

/** In [0, 1). Tommy Ettinger's 32-bit generator. */
export type Random = () => number;

export const seeded = (seed: number): Random => mulberry32(Math.imul(seed, 0x9e3779b1));

/** From a state as it is: neighbouring ones begin alike. */
export function mulberry32(seed: number): Random {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let z = Math.imul(state ^ (state >>> 15), state | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A seed out of a name: FNV-1a over its UTF-16 code units. */
export function seedOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
  return hash;
}

/** Normally distributed, of mean 0 (Box and Muller). */
export function normals(random: Random, length: number, deviation = 1): Float32Array {
  const values = new Float32Array(length);
  for (let at = 0; at < length; at += 2) {
    const radius = deviation * Math.sqrt(-2 * Math.log(1 - random()));
    const angle = 2 * Math.PI * random();
    values[at] = radius * Math.cos(angle);
    values[at + 1] = radius * Math.sin(angle); // beyond an odd length, nothing happens
  }
  return values;
}

/** Whole numbers from `least` to `most`. */
export function integers(random: Random, length: number, least: number, most: number): number[] {
  return Array.from({ length }, () => least + Math.floor(random() * (most - least + 1)));
}

/** Numbers that f16 holds exactly. */
export const halves = (random: Random, length: number): Float32Array =>
  normals(random, length).map((x) => roundToEven(x * 64) / 64);
