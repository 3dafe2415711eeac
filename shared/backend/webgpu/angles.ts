/** The angles of rotary positions, made in f64 and uploaded once for the layers and heads that share them. */

import type { Rotation } from "../backend.ts";
import type { Commands } from "./commands.ts";

export class Angles {
  readonly #commands: Commands;
  #at = 0;
  #epoch = -1;
  #position = -1;
  #T = 0;
  #theta = 0;
  #half = 0;

  constructor(commands: Commands) {
    this.#commands = commands;
  }

  /** Where cos [T, dims / 2] and then sin [T, dims / 2] of the positions from `position` on lie in `uploads`, for the next dispatch. */
  place({ theta, dims }: Rotation, position: number, T: number): number {
    const half = dims / 2;
    this.#commands.reserve(1, 0); // what is there must still be there for the dispatch
    const isSame = position === this.#position && T === this.#T && theta === this.#theta && half === this.#half;
    if (isSame && this.#commands.epoch === this.#epoch) return this.#at;
    const count = T * half;
    this.#commands.reserve(1, 2 * count);
    this.#at = this.#commands.upload(2 * count, (words) => {
      const numbers = new Float32Array(words.buffer, words.byteOffset, words.length);
      for (let j = 0; j < half; j++) {
        const frequency = theta ** (-j / half);
        for (let t = 0; t < T; t++) {
          numbers[t * half + j] = Math.cos((position + t) * frequency);
          numbers[count + t * half + j] = Math.sin((position + t) * frequency);
        }
      }
    });
    this.#epoch = this.#commands.epoch;
    this.#position = position;
    this.#T = T;
    this.#theta = theta;
    this.#half = half;
    return this.#at;
  }
}
