/** The angles of rotary positions, in f64 where there is trigonometry for it, kept for the layers and heads that share them. */

import { AerieError } from "../../errors.ts";
import type { Rotation } from "../backend.ts";
import type { KernelMemory } from "./memory.ts";

export class RopeTable {
  readonly #memory: KernelMemory;
  readonly #at: number;
  readonly #room: number; // angles
  #position = -1;
  #T = 0;
  #theta = 0;
  #half = 0;

  /** `at`: room for `room` cosines and as many sines. */
  constructor(memory: KernelMemory, at: number, room: number) {
    this.#memory = memory;
    this.#at = at;
    this.#room = room;
  }

  /** Addresses of cos and sin [T, dims / 2] for the positions from `position` on. */
  angles({ theta, dims }: Rotation, position: number, T: number): { readonly cos: number; readonly sin: number } {
    const half = dims / 2;
    if (T * half > this.#room)
      throw new AerieError(
        "memory.arena",
        `there is room for ${this.#room} angles, ${T} tokens have ${half} each: call with fewer tokens at a time`,
      );
    const sinAt = this.#at + 4 * this.#room;
    if (position !== this.#position || T !== this.#T || theta !== this.#theta || half !== this.#half) {
      const cos = this.#memory.f32(this.#at, T * half);
      const sin = this.#memory.f32(sinAt, T * half);
      for (let j = 0; j < half; j++) {
        const frequency = theta ** (-j / half);
        for (let t = 0; t < T; t++) {
          cos[t * half + j] = Math.cos((position + t) * frequency);
          sin[t * half + j] = Math.sin((position + t) * frequency);
        }
      }
      this.#position = position;
      this.#T = T;
      this.#theta = theta;
      this.#half = half;
    }
    return { cos: this.#at, sin: sinAt };
  }
}
