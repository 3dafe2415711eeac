/** Room for activations, taken from the front and given back by scopes. Sizes are in units of its buffer's elements. */

import { AerieError } from "../../errors.ts";

export class Arena {
  readonly size: number;
  #top = 0;
  #peak = 0;
  /** `what` fills it, for the sentence that refuses more. */
  readonly #what: string;

  constructor(size: number, what: string) {
    this.size = size;
    this.#what = what;
  }

  get top(): number {
    return this.#top;
  }

  /** The most that was ever in use. */
  get peak(): number {
    return this.#peak;
  }

  allocate(size: number): number {
    const at = this.#top;
    if (at + size > this.size)
      throw new AerieError(
        "memory.arena",
        `${this.#what} need ${at + size} places, there is room for ${this.size}: call with fewer tokens at a time`,
      );
    this.#top += size;
    this.#peak = Math.max(this.#peak, this.#top);
    return at;
  }

  releaseTo(top: number): void {
    this.#top = top;
  }
}
