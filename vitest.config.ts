import { existsSync } from "node:fs";
import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";
import { pageSuites } from "./test/browser/page/project.ts";

// No metrics, no request for `Request.cf`: a test run asks nothing of the network.
process.env.WRANGLER_SEND_METRICS ??= "false";
process.env.CLOUDFLARE_CF_FETCH_ENABLED ??= "false";

// The WebGPU backend is judged on a software adapter, so that its numbers are the same everywhere; VK_DRIVER_FILES names another.
const drivers = [
  "/usr/share/vulkan/icd.d/lvp_icd.json", // Mesa's llvmpipe
  "/usr/lib/chromium/vk_swiftshader_icd.json",
  "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json", // an older llvmpipe, which may lack what WebGPU needs
];
const driver = drivers.find((file) => existsSync(file));
if (driver) process.env.VK_DRIVER_FILES ??= driver;

// `shared/` runs in Node and in Workers; tests run where the code runs.
export default defineConfig({
  test: {
    testTimeout: 60_000,
    maxWorkers: "100%", // of the cores; the default leaves one idle, which on two is half of them
    reporters: ["default", "./test/summary-reporter.ts"],
    // What an operator's log is for, and 500 lines here.
    onConsoleLog: (line) => !line.startsWith('{"event":"turn"'),
    projects: [
      {
        extends: true,
        test: {
          name: "node",
          include: ["test/**/*.test.ts"],
          exclude: ["test/edge/**", "test/e2e/**", "test/browser/**"],
        },
      },
      // The built Worker in a workerd of its own, one for each file: `npm run build && npm run build:worker` first.
      { extends: true, test: { name: "e2e", include: ["test/e2e/**/*.test.ts"] } },
      // The built page in Chromium, from the built Worker.
      {
        extends: true,
        test: { name: "browser", include: ["test/browser/*.test.ts"], testTimeout: 120_000, hookTimeout: 120_000 },
      },
      // Ops and golden cases in a page, on its WebGPU and its WASM.
      ...pageSuites,
      {
        extends: true,
        plugins: [
          cloudflareTest({
            main: "./test/edge/fixture-worker.ts",
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: { durableObjects: { LOADERS: "Loader" }, bindings: { AERIE_SECRET: "0".repeat(64) }, cf: false },
          }),
        ],
        test: { name: "workerd", include: ["test/edge/**/*.test.ts"], globalSetup: "./test/node-logits.ts" },
      },
    ],
  },
});
