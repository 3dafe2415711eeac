/** The kernel modules: what they export, and which of the two runs here. */

import { AerieError } from "../../errors.ts";

/** Addresses and lengths are numbers; every function is documented in `assembly/`. */
type Kernel = (...args: number[]) => number;

const names = [
  "quantise",
  "quantiseBlocks",
  "add",
  "conv1d",
  "f16Matmul",
  "f16Row",
  "f32Matmul",
  "f32Row",
  "gatedProductGelu",
  "gatedProductSilu",
  "localAttention",
  "packRg4",
  "packRg8",
  "readLoop",
  "rg4BlockMatvec",
  "rg4Form",
  "rg4Gemm",
  "rg4Matvec",
  "rg4Row",
  "rg4ScratchBytes",
  "rg8BlockMatvec",
  "rg8Gemm",
  "rg8Matvec",
  "rg8MatvecForm",
  "rg8Row",
  "rg8ScratchBytes",
  "rgLru",
  "ringLoad",
  "ringRound",
  "ringStore",
  "rmsNorm",
  "rope",
  "softCap",
  "vectorMath",
] as const;

export type Kernels = Readonly<Record<(typeof names)[number], Kernel>>;

/** The two builds of `assembly/`. The host compiles them: a Worker imports modules, it may not compile bytes. */
export interface KernelModules {
  readonly baseline: WebAssembly.Module;
  /** null where `WebAssembly.validate` refuses it: Node 20, older Safari. */
  readonly relaxed: WebAssembly.Module | null;
}

export interface ChosenKernels {
  /** Which one, and why if it is not the faster. */
  readonly name: string;
  readonly module: WebAssembly.Module;
}

const PAGE_BYTES = 65_536;

/** The module's constants lie in the first page; nothing else may. */
export const FIRST_FREE_BYTE = PAGE_BYTES;

/** The faster module that computes rightly here. */
export function chooseKernels({ relaxed, baseline }: KernelModules): ChosenKernels {
  if (!relaxed) return { name: "baseline SIMD (without relaxed SIMD)", module: baseline };
  // A host may compile the relaxed dot wrongly and still validate it: V8 11.3 returned twice the product.
  if (!dotIsRight(relaxed)) return { name: "baseline SIMD (the relaxed dot is wrong here)", module: baseline };
  return { name: "relaxed SIMD", module: relaxed };
}

export function instantiate(module: WebAssembly.Module, memory: WebAssembly.Memory): Kernels {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  for (const name of names) {
    if (typeof exports[name] !== "function")
      throw new AerieError(
        "kernels",
        `the kernel module has no ${name}: it was built from other sources, run npm run build`,
      );
  }
  return exports as Kernels;
}

/** Rows of small weights times activations −127 … 127, both at their extremes, against sums of integers: the dots of rg4 and rg8. */
function dotIsRight(module: WebAssembly.Module): boolean {
  const memory = new WebAssembly.Memory({ initial: 2 });
  const kernels = instantiate(module, memory);
  const [K, x, q, scales, tile, y] = [32, 0, 4096, 8192, 12_288, 16_384].map((at, i) => (i ? PAGE_BYTES + at : at));
  const activations = new Float32Array(memory.buffer, x, K);
  for (let k = 0; k < K; k++) activations[k] = k % 3 === 0 ? 127 : k % 3 === 1 ? -127 : k;
  const found = new Float32Array(memory.buffer, y, 16);
  const areSums = (weight: (row: number, k: number) => number) =>
    found.every((sum, row) => sum === activations.reduce((expected, value, k) => expected + value * weight(row, k), 0));

  const nibble = (row: number, k: number) => ((row * 7 + k * 5) % 16) - 8;
  const rg4 = new Uint8Array(memory.buffer, tile, 288);
  for (let row = 0; row < 16; row++) {
    for (let k = 0; k < K; k++) rg4[(k >> 3) * 64 + row * 4 + (k & 3)] |= (nibble(row, k) + 8) << (k & 4);
  }
  rg4.fill(1, 256); // block scales
  new Float32Array(memory.buffer, tile + 288, 16).fill(1); // row scales
  kernels.quantise(x, K * 4, q, scales, 1, K, 1, kernels.rg4Form(), 0);
  kernels.rg4Matvec(tile, 0, 0, q, scales, y, 16, K);
  if (!areSums(nibble)) return false;

  const byte = (row: number, k: number) => ((row * 7 + k * 5) % 255) - 127;
  const rg8 = new Int8Array(memory.buffer, tile, 528);
  for (let row = 0; row < 16; row++) {
    for (let k = 0; k < K; k++) rg8[(k >> 2) * 64 + row * 4 + (k & 3)] = byte(row, k);
  }
  rg8.fill(1, 512);
  new Float32Array(memory.buffer, tile + 528, 16).fill(1);
  kernels.quantise(x, K * 4, q, scales, 1, K, 1, kernels.rg8MatvecForm(), 0);
  kernels.rg8Matvec(tile, 0, 0, q, scales, y, 16, K);
  return areSums(byte);
}
