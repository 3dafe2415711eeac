/** The kernel modules of a Worker: compiled when it is deployed, for it may not compile bytes. */

import baseline from "../build/kernels/baseline.wasm";
import relaxed from "../build/kernels/relaxed.wasm";
import type { KernelModules } from "../shared/backend/wasm/kernels.ts";

// A runtime without relaxed SIMD would refuse the whole script; all of Cloudflare's has it. Whether it computes rightly is
// tested by `chooseKernels`.
export const edgeKernels: KernelModules = { baseline, relaxed };
