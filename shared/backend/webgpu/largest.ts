/** The largest numbers of each row, so that a quarter of a million logits stay where they are. */

import { type Largest, NO_COLUMN, type Tensor } from "../backend.ts";
import type { Arena } from "./arena.ts";
import type { Commands } from "./commands.ts";
import type { GpuBuffer } from "./gpu.ts";
import { CHUNK, kernels } from "./kernels.ts";
import type { Readback } from "./readback.ts";
import { atOf } from "./tensor.ts";

const NUMBERED = 0xffffffff;
// What the kernel has in the place of -Infinity.
const LEAST = Math.fround(-3.4028234e38);

export class LargestOf {
  readonly #commands: Commands;
  readonly #readback: Readback;
  readonly #numbers: Arena;
  readonly #arena: GpuBuffer;

  constructor(commands: Commands, readback: Readback, numbers: Arena, arena: GpuBuffer) {
    this.#commands = commands;
    this.#readback = readback;
    this.#numbers = numbers;
    this.#arena = arena;
  }

  find(x: Tensor, count: number): Promise<Largest> {
    const { rows } = x;
    const top = this.#numbers.top;
    let [values, columns, n] = [atOf(x), NUMBERED, x.columns];
    for (let chunks = Number.POSITIVE_INFINITY; chunks > 1; n = chunks * count) {
      chunks = Math.ceil(n / CHUNK);
      const size = rows * chunks * count;
      const out = this.#numbers.allocate(2 * size);
      const words = [values, columns, out, out + size, n, count, chunks];
      this.#commands.dispatch(kernels.largest, {}, [chunks, rows, 1], words);
      [values, columns] = [out, out + size];
    }
    this.#numbers.releaseTo(top);
    const size = rows * count;
    return this.#readback.read(this.#arena, 4 * values, 8 * size, (bytes) => {
      const columns = Uint32Array.from(new Float32Array(bytes, 4 * size, size));
      const numbers = new Float32Array(bytes, 0, size).map((number, at) => {
        if (columns[at] === NO_COLUMN) return Number.NaN;
        return number === LEAST ? Number.NEGATIVE_INFINITY : number;
      });
      return { values: numbers, columns };
    });
  }
}
