/** The angles of rotary positions, made in f64 and uploaded once for the layers and heads that share them. */

import type { Rotation } from "../backend.ts";
import type { Commands } from "./commands.ts";

export class Angles {
  readonly #commands: Commands;
  #at = 0;
  #epoch = -1;
  #positions: readonly number[] = [];
  #theta = 0;
  #half = 0;

  constructor(commands: Commands) {
    this.#commands = commands;
  }

  /** Where cos [T, dims / 2] and then sin [T, dims / 2] of T positions lie in `uploads`, for the next dispatch. */
  place({ theta, dims }: Rotation, positions: readonly number[]): number {
    const half = dims / 2;
    const T = positions.length;
    this.#commands.reserve(1, 0); // what is there must still be there for the dispatch
    const isSame =
      theta === this.#theta &&
      half === this.#half &&
      T === this.#positions.length &&
      positions.every((position, t) => position === this.#positions[t]);
    if (isSame && this.#commands.epoch === this.#epoch) return this.#at;
    const count = T * half;
    this.#commands.reserve(1, 2 * count);
    this.#at = this.#commands.upload(2 * count, (words) => {
      const numbers = new Float32Array(words.buffer, words.byteOffset, words.length);
      for (let j = 0; j < half; j++) {
        const frequency = theta ** (-j / half);
        for (let t = 0; t < T; t++) {
          numbers[t * half + j] = Math.cos(positions[t] * frequency);
          numbers[count + t * half + j] = Math.sin(positions[t] * frequency);
        }
      }
    });
    this.#epoch = this.#commands.epoch;
    this.#positions = positions;
    this.#theta = theta;
    this.#half = half;
    return this.#at;
  }
}
