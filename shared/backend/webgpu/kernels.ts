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

function kernel(files: string | readonly string[], constants: Kernel["constants"] = {}, entry = "main"): Kernel {
  return { files: typeof files === "string" ? [files] : files, constants, entry };
}

/** Tokens that one thread of a product with several tokens takes: each weight is unpacked once for all of them. */
export const TILE_TOKENS = 4;

/** A product for one token, and for several. */
export interface ProductKernels {
  readonly one: Kernel;
  readonly tile: Kernel;
}

const product = (files: readonly string[], constants: Kernel["constants"] = {}): ProductKernels => ({
  one: kernel(files, { ...constants, TOKENS: 1 }),
  tile: kernel(files, { ...constants, TOKENS: TILE_TOKENS }),
});

const ringKernels = (RING: number) => ({
  round: kernel(["ring", "ring-rows"], { RING }, "roundRows"),
  store: kernel(["ring", "ring-rows"], { RING }, "storeRows"),
  score: kernel(["ring", "local-attention"], { RING }, "scoreKeys"),
  weigh: kernel(["ring", "local-attention"], { RING }, "weighKeys"),
  mix: kernel(["ring", "local-attention"], { RING }, "mixValues"),
});

export const kernels = {
  add: kernel("add"),
  conv1d: kernel("conv1d"),
  embed: {
    f32: kernel("embed", { DTYPE: 0 }),
    f16: kernel("embed", { DTYPE: 1 }),
    rg8: kernel("embed", { DTYPE: 2 }),
    rg4: kernel("embed", { DTYPE: 3 }),
  } satisfies Record<WeightDType, Kernel>,
  gatedProduct: {
    "gelu-tanh": kernel("gated-product", { ACTIVATION: 0 }),
    silu: kernel("gated-product", { ACTIVATION: 1 }),
  } satisfies Record<Activation, Kernel>,
  matmul: {
    f32: product(["store-four", "matmul-exact"], { DTYPE: 0 }),
    f16: product(["store-four", "matmul-exact"], { DTYPE: 1 }),
    rg8: product(["store-four", "matmul-rg8", "matmul-quantised"]),
    rg4: product(["store-four", "matmul-rg4", "matmul-quantised"]),
  } satisfies Record<WeightDType, ProductKernels>,
  activations: { rg8: kernel("activations", { FORM: 0 }), rg4: kernel("activations", { FORM: 1 }) },
  ring: { f32: ringKernels(0), f16: ringKernels(1), i8: ringKernels(2) } satisfies Record<RingDType, unknown>,
  rgLru: kernel("rg-lru"),
  rmsNorm: kernel(["inverse-root", "rms-norm"]),
  rope: kernel("rope"),
  softCap: kernel("soft-cap"),
} as const;
