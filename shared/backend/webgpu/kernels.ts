/** Every kernel of this backend: which files of `kernels/` it is made of, and with which constants. */

import type { Activation } from "../../model/config.ts";
import type { RingDType } from "../../model/state-layout.ts";
import type { WeightDType } from "../packed.ts";

/** A compute pipeline to be: its files' text behind the shared snippets, as one WGSL module. */
export interface Kernel {
  readonly files: readonly string[];
  readonly constants: Readonly<Record<string, number>>;
  readonly entry: string;
}

/**
 * How sums are shared out.
 * - `threads`: each thread sums for itself, and no kernel has a barrier, which is what a CPU that plays a GPU is fast at
 * - `workgroups`: the threads of a workgroup share each sum, since a GPU has more of them than a token has rows
 */
export type Style = "threads" | "workgroups";

type Constants = Kernel["constants"];

const kernel = (files: readonly string[], constants: Constants = {}, entry = "main"): Kernel => ({
  files,
  constants,
  entry,
});

/** A product for one token, and for several: so many that one thread or workgroup takes, unpacking each weight once for them. */
export interface ProductKernels {
  readonly one: Kernel;
  readonly several: Kernel;
  readonly tokens: number;
}

function products(files: readonly string[], constants: Constants, tokens: number): ProductKernels {
  return {
    one: kernel(files, { ...constants, TOKENS: 1 }),
    several: kernel(files, { ...constants, TOKENS: tokens }),
    tokens,
  };
}

const exact = (DTYPE: number) => ({
  threads: products(["matmul-exact.params", "store-four", "matmul-exact"], { DTYPE }, 4),
  workgroups: products(
    ["matmul-exact.params", "store-four", "slices", "matmul-exact.workgroup"],
    { DTYPE, THREADS: 128 },
    8,
  ),
});

const quantised = (format: string) => ({
  threads: products([format, "matmul-quantised.params", "store-four", "matmul-quantised"], {}, 4),
  workgroups: products(
    [format, "matmul-quantised.params", "store-four", "slices", "matmul-quantised.workgroup"],
    { THREADS: 128 },
    8,
  ),
});

const activations = (FORM: number) => ({
  threads: kernel(["activations.params", "activations"], { FORM }),
  workgroups: kernel(["activations.params", "reduce", "activations.workgroup"], { FORM, THREADS: 64 }),
});

function rings(RING: number) {
  const ofRows = (entry: string) => kernel(["sequences", "ring", "ring-rows"], { RING }, entry);
  const ofThreads = (entry: string) =>
    kernel(["sequences", "ring", "local-attention.params", "local-attention"], { RING }, entry);
  const ofWorkgroups = (entry: string) =>
    kernel(
      ["sequences", "ring", "local-attention.params", "reduce", "local-attention.workgroup"],
      { RING, THREADS: 128 },
      entry,
    );
  const [round, store, score] = [ofRows("roundRows"), ofRows("storeRows"), ofThreads("scoreKeys")];
  return {
    threads: { round, store, score, weigh: ofThreads("weighKeys"), mix: ofThreads("mixValues") },
    workgroups: { round, store, score, weigh: ofWorkgroups("weighKeys"), mix: ofWorkgroups("mixValues") },
  };
}

/** Numbers of a row that one workgroup of `largest` goes through. */
export const CHUNK = 4096;

export const kernels = {
  activations: { rg8: activations(0), rg4: activations(1) },
  add: kernel(["add"]),
  conv1d: kernel(["sequences", "conv1d"]),
  embed: {
    f32: kernel(["embed"], { DTYPE: 0 }),
    f16: kernel(["embed"], { DTYPE: 1 }),
    rg8: kernel(["embed"], { DTYPE: 2 }),
    rg4: kernel(["embed"], { DTYPE: 3 }),
  },
  gatedProduct: {
    "gelu-tanh": kernel(["gated-product"], { ACTIVATION: 0 }),
    silu: kernel(["gated-product"], { ACTIVATION: 1 }),
  },
  largest: kernel(["largest"], { CHUNK, THREADS: 128 }),
  matmul: { f32: exact(0), f16: exact(1), rg8: quantised("matmul-rg8"), rg4: quantised("matmul-rg4") },
  ring: { f32: rings(0), f16: rings(1), i8: rings(2) },
  rgLru: kernel(["sequences", "rg-lru"]),
  rmsNorm: {
    threads: kernel(["inverse-root", "rms-norm"]),
    workgroups: kernel(["inverse-root", "reduce", "rms-norm.workgroup"], { THREADS: 128 }),
  },
  rope: kernel(["rope"]),
  softCap: kernel(["soft-cap"]),
} as const satisfies Readonly<Record<string, unknown>> & {
  readonly embed: Record<WeightDType, Kernel>;
  readonly gatedProduct: Record<Activation, Kernel>;
  readonly matmul: Record<WeightDType, Record<Style, ProductKernels>>;
  readonly ring: Record<RingDType, Record<Style, Readonly<Record<string, Kernel>>>>;
};
