/** Products with weights of any dtype: which kernel, on which form of the activations. */

import type { Tensor, Weight } from "../backend.ts";
import { ACTIVATION_GROUP, BLOCK_COLUMNS, TILE_ROWS } from "../packed.ts";
import type { Arena } from "./arena.ts";
import type { Commands } from "./commands.ts";
import { cover, coverElements, workgroups } from "./grid.ts";
import { kernels, type Style } from "./kernels.ts";
import type { Memory } from "./memory.ts";
import { atOf, type Quantised, type WebGpuTensor } from "./tensor.ts";
import { type WebGpuWeight, weightGroup } from "./weights.ts";

// vec4u of 32 activations (activations.wgsl).
const BLOCK_VECTORS = 3;

export class Products {
  readonly #memory: Memory;
  readonly #commands: Commands;
  readonly #quantised: Arena;
  readonly #style: Style;
  /** What lies in the buffer of int8 activations now, in its order. */
  readonly #live: Quantised[] = [];

  constructor(memory: Memory, commands: Commands, quantised: Arena, style: Style) {
    this.#memory = memory;
    this.#commands = commands;
    this.#quantised = quantised;
    this.#style = style;
  }

  /** y [T, matrices · rows] = each of w's matrices times its own columns of x, plus bias. */
  product(x: Tensor, w: Weight, bias: Weight | null, y: Tensor): void {
    const { dtype, parts, columns: N, matrixBytes, scalesAt } = w as WebGpuWeight;
    const matrices = x.columns / N;
    const { one, several, tokens } = kernels.matmul[dtype][this.#style];
    const kernel = x.rows === 1 ? one : several;
    const tokenTiles = x.rows === 1 ? 1 : Math.ceil(x.rows / tokens);
    const quantised = dtype === "rg8" || dtype === "rg4" ? this.#quantise(x, N, dtype) : null;
    const blocks = Math.ceil(N / BLOCK_COLUMNS);
    for (const [index, part] of parts.entries()) {
      const groups = { weight: weightGroup(this.#memory, w, index, bias) };
      const grid =
        this.#style === "threads"
          ? cover(Math.ceil(part.rows / 4), tokenTiles, matrices)
          : ([tokenTiles, Math.ceil(part.rows / TILE_ROWS), matrices] as const); // one tile's workgroups run side by side;
      const to = atOf(y) + part.firstRow;
      const hasBias = bias ? 1 : 0;
      if (quantised) {
        const xStride = matrices * blocks * BLOCK_VECTORS;
        this.#commands.dispatch(kernel, groups, grid, [
          quantised.place, to, part.rows, blocks, x.rows, y.columns, xStride, matrixBytes / 16, scalesAt + part.firstRow, part.firstRow, hasBias,
        ]); // biome-ignore format: a kernel's parameters
      } else {
        // A group of 4 weights is 16 bytes in f32, 8 in f16.
        const fours = matrixBytes / (dtype === "f32" ? 16 : 8);
        this.#commands.dispatch(kernel, groups, grid, [
          atOf(x), to, part.rows, N, x.rows, y.columns, x.columns, fours, part.firstRow, hasBias,
        ]); // biome-ignore format: a kernel's parameters
      }
    }
  }

  /** x with every `columns` numbers as a row of int8, made now or found. */
  #quantise(x: Tensor, columns: number, form: "rg8" | "rg4"): Quantised {
    const { at, quantised } = x as WebGpuTensor;
    const rows = (x.rows * x.columns) / columns;
    const found = quantised.find(
      (made) => made.at === at && made.rows === rows && made.columns === columns && made.form === form,
    );
    if (found && this.#live.includes(found)) return found;
    const place = this.#quantised.allocate(rows * Math.ceil(columns / BLOCK_COLUMNS) * BLOCK_VECTORS);
    const groups = rows * Math.ceil(columns / ACTIVATION_GROUP);
    const kernel = kernels.activations[form][this.#style];
    const grid = this.#style === "threads" ? coverElements(groups) : workgroups(groups);
    this.#commands.dispatch(kernel, {}, grid, [at, place, rows, columns]);
    const made = { at, rows, columns, form, place };
    quantised.push(made);
    this.#live.push(made);
    return made;
  }

  /** At the end of a scope: gives back the room from `top` on. */
  releaseTo(top: number): void {
    this.#quantised.releaseTo(top);
    while (this.#live.length > 0 && this.#live[this.#live.length - 1].place >= top) this.#live.pop();
  }
}
