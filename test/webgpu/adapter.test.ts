/** Which adapter the suite ran on, and what happens where there is none. */

import { describe, expect, test } from "vitest";
import { loadKernelSources, nodeGpu } from "../../cli/webgpu.ts";
import type { Gpu } from "../../shared/backend/webgpu/gpu.ts";
import { tryDevice } from "../../shared/backend/webgpu/index.ts";
import { gpu, webgpu } from "../backends.ts";
import { aerie, runNode } from "../cli/aerie.ts";

const folder = "models/fledgling-4m";
const hasPackage = await nodeGpu().then(
  () => true,
  () => false,
);

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

  // It threw while the file was read, or left no trace: ops and golden cases went untested on all backends, or on the GPU in silence.
  test.each([
    ["an adapter", { VK_DRIVER_FILES: "/nowhere.json" }],
    ["the package", { NODE_OPTIONS: `--import ${hidden("webgpu/index.js")}` }],
  ])("the suites skip WebGPU for want of %s, say so and judge the others", async (_what, env) => {
    const args = ["node_modules/vitest/vitest.mjs", "run", "--project", "node", "test/ops/add.test.ts"];
    const { code, stdout } = await runNode(args, "", { ...env, CI: "" });
    expect(stdout).toMatch(/\b8 passed, 0 failed, 1 skipped\n/);
    expect(code).toBe(0);
  });

  test.skipIf(!hasPackage)("an explicit --backend webgpu ends with a sentence that names the next step", async () => {
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

/** For `node --import`: a module that can't be found any more. */
function hidden(path: string): string {
  const hook = `import { registerHooks } from "node:module";
    registerHooks({ resolve(specifier, context, next) {
      if (specifier.endsWith(${JSON.stringify(path)})) throw new Error("not installed");
      return next(specifier, context);
    } });`;
  return `data:text/javascript,${encodeURIComponent(hook)}`;
}
