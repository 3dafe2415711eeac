/** Every backend that the shared suites judge. */

import { describe, test } from "vitest";
import { loadKernels } from "../cli/kernels.ts";
import { loadKernelSources, nodeGpu } from "../cli/webgpu.ts";
import type { Backend, BackendNeeds } from "../shared/backend/backend.ts";
import { referenceBackend } from "../shared/backend/reference/index.ts";
import { wasmBackend } from "../shared/backend/wasm/index.ts";
import { type Style, tryDevice, type WebGpuDevice, webgpuBackend } from "../shared/backend/webgpu/index.ts";
import { AerieError } from "../shared/errors.ts";

export interface BackendUnderTest {
  readonly name: string;
  /** `maxTokens`: tokens per call. Default: fewer than most tests hand over, so that splitting is tested too. */
  create(needs: BackendNeeds, maxTokens?: number): Backend;
  /** Of the cases of one `judge`, so many (`sampleOf`): for what is slow without being the reference. Default: all. */
  readonly sample?: number;
  /** WGSL lets a device take subnormal numbers for zeros. */
  readonly flushesSubnormals?: boolean;
}

const modules = loadKernels();
if (!modules.relaxed) throw new Error("this Node has no relaxed SIMD: the tests need the one that package.json brings");

/** In a page there is a minute for all suites together; what is computed there was judged in full in Node. */
const PAGE_SAMPLE = 1;
const inPage = "document" in globalThis ? { sample: PAGE_SAMPLE } : {};

const relaxed = (needs: BackendNeeds, maxTokens = 24) => wasmBackend(modules, needs, { maxTokens });
const baseline = (needs: BackendNeeds, maxTokens = 24) =>
  wasmBackend({ ...modules, relaxed: null }, needs, { maxTokens });

/** The device of this test run. null: there is none, which with CI set is a failure, and else is reported as skipped. */
export const gpu = await tryGpu();

async function tryGpu(): Promise<WebGpuDevice | null> {
  try {
    const opened = await tryDevice(await nodeGpu(), loadKernelSources());
    if (opened) return opened;
    throw new AerieError("gpu.none", "no WebGPU adapter: vitest.config.ts says where it looks, .ci/run installs one");
  } catch (error) {
    if (process.env.CI || !(error instanceof AerieError && error.code === "gpu.none")) throw error;
    // In every file of tests that would have judged it. (`npm run golden` has no tests.)
    if (process.env.VITEST) describe.skip("webgpu", () => test(error.message, () => undefined));
    return null;
  }
}

// SwiftShader takes minutes for kernels with barriers, and 0.2 ms for a dispatch, however small; llvmpipe takes neither. (With CI
// set, webgpu/adapter.test.ts asks for both styles.)
const isSwiftShader = gpu?.name.includes("swiftshader") ?? false;

function onGpu(opened: WebGpuDevice, style: Style): BackendUnderTest {
  return {
    name: `webgpu, ${style}`,
    create: (needs, maxTokens = 24) => webgpuBackend(opened, needs, { maxTokens, style }),
    flushesSubnormals: true,
    ...(opened.isSoftware && { sample: 5 }),
    ...inPage,
  };
}

const styles = isSwiftShader ? (["threads"] as const) : (["threads", "workgroups"] as const);
export const webgpu: BackendUnderTest[] = gpu ? styles.map((style) => onGpu(gpu, style)) : [];

export const backends: BackendUnderTest[] = [
  { name: "reference", create: referenceBackend },
  { name: "wasm, relaxed SIMD", create: relaxed, ...inPage },
  { name: "wasm, baseline SIMD", create: baseline, ...inPage },
  ...webgpu,
];
