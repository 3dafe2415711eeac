import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";

// No metrics, no request for `Request.cf`: a test run asks nothing of the network.
process.env.WRANGLER_SEND_METRICS ??= "false";
process.env.CLOUDFLARE_CF_FETCH_ENABLED ??= "false";

// `shared/` runs in Node and in Workers; tests run where the code runs.
export default defineConfig({
  test: {
    testTimeout: 60_000,
    reporters: ["default", "./test/summary-reporter.ts"],
    projects: [
      { extends: true, test: { name: "node", include: ["test/**/*.test.ts"], exclude: ["test/edge/**"] } },
      {
        extends: true,
        plugins: [
          cloudflareTest({
            miniflare: { compatibilityDate: "2026-08-01", compatibilityFlags: ["nodejs_compat"], cf: false },
          }),
        ],
        test: { name: "workerd", include: ["test/edge/**/*.test.ts"] },
      },
    ],
  },
});
