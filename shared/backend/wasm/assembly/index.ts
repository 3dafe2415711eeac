/** What the kernel modules export. One source, two modules: with relaxed SIMD and without. */

import { BYTES, SIGNS, WORDS } from "./activations";

export { quantise, quantiseBlocks } from "./activations";
export { add } from "./add";
export { conv1d } from "./conv1d";
export { f16Matmul, f16Row } from "./f16";
export { f32Matmul, f32Row } from "./f32";
export { gatedProductGelu, gatedProductSilu } from "./gated-product";
export { localAttention } from "./local-attention";
export { packRg4, packRg8 } from "./pack";
export { readLoop } from "./read-loop";
export { rg4BlockMatvec, rg4Gemm, rg4Matvec, rg4Row, rg4ScratchBytes } from "./rg4";
export { rg8BlockMatvec, rg8Gemm, rg8Matvec, rg8Row, rg8ScratchBytes } from "./rg8";
export { rgLru } from "./rg-lru";
export { ringLoad, ringRound, ringStore } from "./ring";
export { rmsNorm } from "./rms-norm";
export { rope } from "./rope";
export { softCap } from "./soft-cap";
export { vectorMath } from "./vector-math";

/** The form in which this module's rg4 kernels read activations (activations.ts). */
export function rg4Form(): i32 {
  return ASC_FEATURE_RELAXED_SIMD ? BYTES : WORDS;
}

/** As `rg4Form`, for the matvecs of rg8; its GEMM reads words. */
export function rg8MatvecForm(): i32 {
  return ASC_FEATURE_RELAXED_SIMD ? SIGNS : WORDS;
}
