/** Every backend that the shared suites judge. */

import { loadKernels } from "../cli/kernels.ts";
import type { Backend, BackendNeeds } from "../shared/backend/backend.ts";
import { referenceBackend } from "../shared/backend/reference/index.ts";
import { wasmBackend } from "../shared/backend/wasm/index.ts";

export interface BackendUnderTest {
  readonly name: string;
  /** `maxTokens`: tokens per call. Default: fewer than most tests hand over, so that splitting is tested too. */
  create(needs: BackendNeeds, maxTokens?: number): Backend;
}

const modules = loadKernels();
if (!modules.relaxed) throw new Error("this Node has no relaxed SIMD: the tests need the one that package.json brings");

const relaxed = (needs: BackendNeeds, maxTokens = 24) => wasmBackend(modules, needs, { maxTokens });
const baseline = (needs: BackendNeeds, maxTokens = 24) =>
  wasmBackend({ ...modules, relaxed: null }, needs, { maxTokens });

export const backends: BackendUnderTest[] = [
  { name: "reference", create: referenceBackend },
  { name: "wasm, relaxed SIMD", create: relaxed },
  { name: "wasm, baseline SIMD", create: baseline },
];
