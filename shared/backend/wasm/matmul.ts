/** Products with weights of any dtype: which kernel, on which form of the activations. */

import type { Tensor, Weight } from "../backend.ts";
import { ACTIVATION_GROUP, BLOCK_COLUMNS, matrixShape, type WeightDType } from "../packed.ts";
import type { Kernels } from "./kernels.ts";
import type { KernelMemory } from "./memory.ts";
import { atOf, type Matrix, matrixOf, type Quantised, type WasmTensor, type WasmWeight, weightAt } from "./tensor.ts";

/** Work done, by the arguments that the kernels were called with. */
export interface Counters {
  multiplyAdds: number;
  /** Bytes of weights read; a prefill reads them once for all its tokens. */
  weightBytes: number;
  /** Bytes of attention rings read. */
  ringBytes: number;
}

// Tokens that the GEMMs interleave (assembly/tile.ts).
const TILE_TOKENS = 4;

export class Matmul {
  readonly #kernels: Kernels;
  readonly #memory: KernelMemory;
  readonly #counters: Counters;
  readonly #rg4ReadsWords: boolean;

  constructor(kernels: Kernels, memory: KernelMemory, counters: Counters) {
    this.#kernels = kernels;
    this.#memory = memory;
    this.#counters = counters;
    this.#rg4ReadsWords = kernels.rg4ReadsWords() !== 0;
  }

  /** x Wᵀ for the `index`-th matrix of w, on columns `from` … of x, into `y`, whose rows are `rowBytes` apart. */
  product(x: Tensor, from: number, w: Weight, index: number, y: number, rowBytes: number): void {
    const { dtype, role, shape } = w as WasmWeight;
    const { rows, columns } = matrixShape(role, shape);
    const matrix = matrixOf(w, index, rows, columns);
    this.#counters.multiplyAdds += x.rows * rows * columns;
    this.#counters.weightBytes += matrix.bytes;
    switch (dtype) {
      case "f32":
        this.#kernels.f32Matmul(matrix.at, atOf(x) + 4 * from, 4 * x.columns, y, rowBytes, rows, columns, x.rows);
        return;
      case "f16": {
        const scratch = this.#memory.allocate(columns * 64); // one tile of 16 rows, widened
        this.#kernels.f16Matmul(
          matrix.at,
          atOf(x) + 4 * from,
          4 * x.columns,
          y,
          rowBytes,
          rows,
          columns,
          x.rows,
          scratch,
        );
        return;
      }
      case "rg8":
      case "rg4":
        this.#quantisedProduct(dtype, this.#quantise(x, from, columns, dtype), matrix, x.rows, y, rowBytes);
        return;
      default:
        dtype satisfies never;
    }
  }

  #quantisedProduct(
    dtype: "rg8" | "rg4",
    { q, scales }: Quantised,
    m: Matrix,
    T: number,
    y: number,
    rowBytes: number,
  ): void {
    const kernels = this.#kernels;
    if (T === 1) {
      const matvec = dtype === "rg8" ? kernels.rg8Matvec : kernels.rg4Matvec;
      matvec(m.at, m.rowScales, q, scales, y, m.rows, m.columns);
      return;
    }
    const [gemm, scratchBytes] =
      dtype === "rg8" ? [kernels.rg8Gemm, kernels.rg8ScratchBytes] : [kernels.rg4Gemm, kernels.rg4ScratchBytes];
    const scratch = this.#memory.allocate(scratchBytes(m.columns));
    gemm(m.at, m.rowScales, q, scales, y, rowBytes, m.rows, m.columns, T, scratch);
  }

  /** Columns `from` … `from + columns` of x in the form that a dtype's kernels read (assembly/activations.ts). */
  #quantise(x: Tensor, from: number, columns: number, dtype: WeightDType): Quantised {
    const words = dtype === "rg8" || this.#rg4ReadsWords;
    const key = `${words ? "words" : "bytes"} ${from} ${columns}`;
    const { quantised } = x as WasmTensor;
    const made = quantised.get(key);
    if (made && this.#memory.isOpen(made.scope)) return made;

    const S = x.rows === 1 ? 1 : TILE_TOKENS;
    const tokens = Math.ceil(x.rows / S) * S;
    const blocks = Math.ceil(columns / BLOCK_COLUMNS);
    const groups = Math.ceil(columns / ACTIVATION_GROUP);
    const q = this.#memory.allocate(tokens * blocks * BLOCK_COLUMNS * (words ? 2 : 1));
    const scales = this.#memory.allocate(tokens * (blocks + groups) * 4);
    const padded = columns % BLOCK_COLUMNS === 0 ? 0 : this.#memory.allocate(ACTIVATION_GROUP * 4);
    this.#kernels.quantise(atOf(x) + 4 * from, 4 * x.columns, q, scales, x.rows, columns, S, words ? 1 : 0, padded);
    const fresh = { q, scales, scope: this.#memory.currentScope() };
    quantised.set(key, fresh);
    return fresh;
  }

  /** factor · row n of w, into y: what `embed` looks up. */
  row(w: Weight, n: number, y: number, factor: number): void {
    const { dtype, role, shape } = w as WasmWeight;
    const { rows, columns } = matrixShape(role, shape);
    const { at, rowScales } = matrixOf(w, 0, rows, columns);
    switch (dtype) {
      case "f32":
        this.#kernels.f32Row(at, n, y, columns, factor);
        return;
      case "f16":
        this.#kernels.f16Row(at, n, y, columns, factor);
        return;
      case "rg8":
        this.#kernels.rg8Row(at, rowScales, n, y, columns, factor);
        return;
      case "rg4":
        this.#kernels.rg4Row(at, rowScales, n, y, columns, factor);
        return;
      default:
        dtype satisfies never;
    }
  }

  addBias(y: number, b: Weight | null, T: number, columns: number): void {
    if (b) this.#kernels.addBias(y, weightAt(b), T, columns);
  }
}
