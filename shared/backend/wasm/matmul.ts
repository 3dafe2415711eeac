/** Products with weights of any dtype: which kernel, on which form of the activations. */

import type { Tensor, Weight } from "../backend.ts";
import { ACTIVATION_GROUP, BLOCK_COLUMNS, TILE_ROWS } from "../packed.ts";
import type { Kernels } from "./kernels.ts";
import type { KernelMemory } from "./memory.ts";
import { atOf, type Matrix, type Quantised, type WasmTensor, type WasmWeight, weightAt } from "./tensor.ts";

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

// The numbers of assembly/activations.ts.
const forms = { bytes: 0, words: 1, signs: 2 } as const;
const bytesPerActivation = (form: number): number => (form === forms.bytes ? 1 : 2);

export class Matmul {
  readonly #kernels: Kernels;
  readonly #memory: KernelMemory;
  readonly #counters: Counters;
  readonly #rg4Form: number;
  readonly #rg8MatvecForm: number;

  constructor(kernels: Kernels, memory: KernelMemory, counters: Counters) {
    this.#kernels = kernels;
    this.#memory = memory;
    this.#counters = counters;
    this.#rg4Form = kernels.rg4Form();
    this.#rg8MatvecForm = kernels.rg8MatvecForm();
  }

  /** x Wᵀ + bias for the `index`-th matrix of w, on columns `from` … of x, into `y`, whose rows are `rowBytes` apart. `bias` 0: none. */
  product(x: Tensor, from: number, w: Weight, index: number, bias: number, y: number, rowBytes: number): void {
    const { dtype, matrices } = w as WasmWeight;
    const matrix = matrices[index];
    const { rows, columns } = matrix;
    const { at } = matrix.parts[0];
    this.#counters.multiplyAdds += x.rows * rows * columns;
    this.#counters.weightBytes += matrix.bytes;
    switch (dtype) {
      case "f32":
        this.#kernels.f32Matmul(at, bias, atOf(x) + 4 * from, 4 * x.columns, y, rowBytes, rows, columns, x.rows);
        return;
      case "f16": {
        const scratch = this.#memory.allocate(columns * 64); // one tile of 16 rows, widened
        this.#kernels.f16Matmul(
          at,
          bias,
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
      case "rg4": {
        const quantised = this.#quantise(x, from, columns, this.#form(dtype, x.rows));
        this.#quantisedProduct(dtype, quantised, matrix, bias, x.rows, y, rowBytes);
        return;
      }
      default:
        dtype satisfies never;
    }
  }

  #quantisedProduct(
    dtype: "rg8" | "rg4",
    { q, scales }: Quantised,
    { parts, rows, columns }: Matrix,
    bias: number,
    T: number,
    y: number,
    rowBytes: number,
  ): void {
    const kernels = this.#kernels;
    const isRg8 = dtype === "rg8";
    if (T === 1) {
      const matvec = isRg8 ? kernels.rg8Matvec : kernels.rg4Matvec;
      matvec(parts[0].at, parts[1]?.at ?? 0, bias, q, scales, y, rows, columns);
      return;
    }
    const gemm = isRg8 ? kernels.rg8Gemm : kernels.rg4Gemm;
    const scratch = this.#memory.allocate((isRg8 ? kernels.rg8ScratchBytes : kernels.rg4ScratchBytes)(columns));
    for (const { at, rowScales, firstRow, rows } of parts) {
      const from = 4 * firstRow;
      gemm(at, rowScales, bias && bias + from, q, scales, y + from, rowBytes, rows, columns, T, scratch);
    }
  }

  /** The form in which the kernel for T tokens reads them. */
  #form(dtype: "rg8" | "rg4", T: number): number {
    if (dtype === "rg4") return this.#rg4Form;
    return T === 1 ? this.#rg8MatvecForm : forms.words;
  }

  #quantise(x: Tensor, from: number, columns: number, form: number): Quantised {
    const made = this.#find(x as WasmTensor, from, columns, form);
    if (made) return made;
    const S = x.rows === 1 ? 1 : TILE_TOKENS;
    const tokens = Math.ceil(x.rows / S) * S;
    const blocks = Math.ceil(columns / BLOCK_COLUMNS);
    const groups = Math.ceil(columns / ACTIVATION_GROUP);
    const q = this.#memory.allocate(tokens * blocks * BLOCK_COLUMNS * bytesPerActivation(form));
    const scales = this.#memory.allocate(tokens * (blocks + groups) * 4);
    const padded = columns % BLOCK_COLUMNS === 0 ? 0 : this.#memory.allocate(ACTIVATION_GROUP * 4);
    this.#kernels.quantise(atOf(x) + 4 * from, 4 * x.columns, q, scales, x.rows, columns, S, form, padded);
    return this.#keep(x as WasmTensor, { at: atOf(x), from, columns, form, q, scales });
  }

  #find({ at, quantised }: WasmTensor, from: number, columns: number, form: number): Quantised | null {
    for (const made of quantised) {
      const isSame = made.at === at && made.from === from && made.columns === columns && made.form === form;
      if (isSame && this.#memory.isOpen(made.scope)) return made;
    }
    return null;
  }

  #keep({ quantised }: WasmTensor, made: Omit<Quantised, "scope">): Quantised {
    const fresh = { ...made, scope: this.#memory.currentScope() };
    quantised.push(fresh);
    return fresh;
  }

  /** One token through all matrices of a gate, b [B, O] included: one stream of weights instead of B short ones. */
  blockProduct(x: Tensor, w: Weight, b: Weight, y: WasmTensor): void {
    const { dtype, matrices } = w as WasmWeight;
    const [{ rows, columns, parts }] = matrices;
    const isOneStream =
      x.rows === 1 && (dtype === "rg8" || dtype === "rg4") && columns % BLOCK_COLUMNS === 0 && rows % TILE_ROWS === 0;
    if (!isOneStream) {
      for (let m = 0; m < matrices.length; m++)
        this.product(x, m * columns, w, m, weightAt(b) + 4 * m * rows, y.at + 4 * m * rows, 4 * y.columns);
      return;
    }
    const { q, scales } = this.#quantiseBlocks(x as WasmTensor, columns, this.#form(dtype, 1));
    const matvec = dtype === "rg8" ? this.#kernels.rg8BlockMatvec : this.#kernels.rg4BlockMatvec;
    matvec(parts[0].at, parts[1]?.at ?? 0, weightAt(b), q, scales, y.at, matrices.length, rows, columns);
    this.#counters.multiplyAdds += matrices.length * rows * columns;
    this.#counters.weightBytes += matrices.length * matrices[0].bytes;
  }

  /** A single token whose every `columns` are quantised apart. */
  #quantiseBlocks(x: WasmTensor, columns: number, form: number): Quantised {
    const made = this.#find(x, -1, columns, form);
    if (made) return made;
    const blocks = x.columns / columns;
    const q = this.#memory.allocate(x.columns * bytesPerActivation(form));
    const scales = this.#memory.allocate(
      blocks * (columns / BLOCK_COLUMNS + Math.ceil(columns / ACTIVATION_GROUP)) * 4,
    );
    this.#kernels.quantiseBlocks(x.at, q, scales, blocks, columns, form);
    return this.#keep(x, { at: x.at, from: -1, columns, form, q, scales });
  }

  /** factor · row n of w, into y: what `embed` looks up. */
  row(w: Weight, n: number, y: number, factor: number): void {
    const { dtype, matrices } = w as WasmWeight;
    const { columns, parts } = matrices[0];
    const { at, rowScales, firstRow } = parts[1] && n >= parts[1].firstRow ? parts[1] : parts[0];
    switch (dtype) {
      case "f32":
        this.#kernels.f32Row(at, n, y, columns, factor);
        return;
      case "f16":
        this.#kernels.f16Row(at, n, y, columns, factor);
        return;
      case "rg8":
        this.#kernels.rg8Row(at, rowScales, n - firstRow, y, columns, factor);
        return;
      case "rg4":
        this.#kernels.rg4Row(at, rowScales, n - firstRow, y, columns, factor);
        return;
      default:
        dtype satisfies never;
    }
  }
}
