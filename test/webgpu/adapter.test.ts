/** Which adapter the suite ran on, and what happens where there is none. */

import { describe, expect, test } from "vitest";
import { loadKernelSources, nodeGpu } from "../../cli/webgpu.ts";
import type { Gpu } from "../../shared/backend/webgpu/gpu.ts";
import { tryDevice } from "../../shared/backend/webgpu/index.ts";
import { gpu, webgpu } from "../backends.ts";
import { aerie } from "../cli/aerie.ts";

const folder = "models/fledgling-4m";

test.skipIf(!gpu)("the suite's adapter is a known one, and its name is printed", () => {
  process.stdout.write(`WebGPU adapter: ${gpu?.name}\n`);
  expect(gpu?.name).toMatch(/llvmpipe|swiftshader|nvidia|amd|intel|apple/i);
  expect(gpu?.isSoftware).toBe(/llvmpipe|swiftshader/i.test(gpu?.name ?? ""));
  expect(webgpu.map(({ name }) => name)).toContain("webgpu, threads");
});

// Without llvmpipe the suites fall back to SwiftShader and leave out every kernel with a barrier, in silence.
test.skipIf(!process.env.CI)("with CI set, both styles of the kernels are judged", () => {
  expect(webgpu.map(({ name }) => name)).toStrictEqual(["webgpu, threads", "webgpu, workgroups"]);
});

describe("without an adapter", () => {
  test("tryDevice gives null, and asks for nothing more", async () => {
    const none: Gpu = { requestAdapter: async () => null, wgslLanguageFeatures: new Set() };
    expect(await tryDevice(none, {})).toBeNull();
  });

  test("an explicit --backend webgpu ends with a sentence that names the next step", async () => {
    const env = { VK_DRIVER_FILES: "/nowhere.json" };
    const { code, stderr } = await aerie(["complete", folder, "Once", "--backend", "webgpu"], "", env);
    expect(code).toBe(1);
    expect(stderr).toContain("aerie: no WebGPU adapter: on Linux install the Vulkan loader and a driver");
    expect(stderr).toContain("--backend wasm runs everywhere");
  });
});

test.skipIf(!gpu)("kernels of another build are refused with a sentence", async () => {
  const { add, ...others } = loadKernelSources();
  expect(add).toContain("x += y");
  const opened = await tryDevice(await nodeGpu(), others);
  const { kernels } = await import("../../shared/backend/webgpu/kernels.ts");
  expect(() => opened?.pipelines.get(kernels.add)).toThrow(
    "the WGSL sources have no add: they were built from other files",
  );
});
