/** The suites of ops and golden cases in a page of Chromium: the very files that run in Node. */

import { fileURLToPath } from "node:url";
import { playwright } from "@vitest/browser-playwright";
import type { TestProjectInlineConfiguration } from "vitest/config";
import { chromiumArgs, executablePath, isNeeded, isThere, missing } from "../chromium-args.ts";

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));
const node = here("node.ts");

const suites: TestProjectInlineConfiguration = {
  extends: true,
  resolve: {
    alias: [
      { find: /^node:(fs|fs\/promises|url|path|crypto)$/, replacement: node },
      { find: /^.*\/cli\/webgpu\.ts$/, replacement: here("webgpu.ts") },
    ],
  },
  test: {
    name: "chromium",
    include: ["test/browser/page/*.test.ts", "test/ops/*.test.ts", "test/golden/golden.test.ts"],
    exclude: ["kernels", "vector-math", "depth", "pack", "packed"].map((name) => `test/ops/${name}.test.ts`), // need Node, or no backend
    browser: {
      enabled: true,
      headless: true,
      screenshotFailures: false,
      provider: playwright({ launchOptions: { executablePath, args: chromiumArgs({ hasWebgpu: true }) } }),
      instances: [{ browser: "chromium" }],
    },
  },
};

if (!isThere && !isNeeded) console.warn(`skipped: test/ops and test/golden in a page. ${missing}`);

/** None where Chromium is missing and may be. */
export const pageSuites: TestProjectInlineConfiguration[] = isThere || isNeeded ? [suites] : [];
