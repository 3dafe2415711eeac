/** Builds the browser's page into build/assets/browser, which is served without a key. Part of `npm run build`. */

import { createHash } from "node:crypto";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type Plugin } from "vite";

const root = fileURLToPath(new URL("..", import.meta.url));
const harness = join(root, "client/web/harness");
const SERVICE_WORKER = "service-worker.js";

/** Tells the service worker what the page consists of. Any change to a file gives it another version. */
const shellList: Plugin = {
  name: "shell-list",
  enforce: "post",
  generateBundle(_, bundle) {
    const worker = bundle[SERVICE_WORKER];
    if (worker?.type !== "chunk") throw new Error(`the build made no ${SERVICE_WORKER}`);
    const files = Object.values(bundle).filter((file) => file !== worker);
    const hash = createHash("sha256");
    for (const file of files) hash.update(file.fileName).update(file.type === "chunk" ? file.code : file.source);
    const names = files.map(({ fileName }) => fileName).filter((name) => name !== "index.html");
    worker.code =
      `const SHELL_VERSION=${JSON.stringify(hash.digest("hex").slice(0, 16))};` +
      `const SHELL_FILES=${JSON.stringify(names)};\n${worker.code}`;
  },
};

await build({
  root: harness,
  base: "/browser/",
  configFile: false,
  logLevel: "warn",
  plugins: [shellList],
  worker: { format: "es" },
  build: {
    outDir: join(root, "build/assets/browser"),
    emptyOutDir: true,
    target: "es2024",
    assetsInlineLimit: 0, // the kernels stay files
    modulePreload: { polyfill: false },
    rolldownOptions: {
      checks: { bundlerTimings: false }, // a slow machine is no mistake of the build's
      input: { page: join(harness, "index.html"), "service-worker": join(harness, "service-worker.ts") },
      // A service worker keeps its name: browsers look for its next version there.
      output: {
        entryFileNames: ({ name }) => (name === "service-worker" ? SERVICE_WORKER : "assets/[name]-[hash].js"),
      },
    },
  },
});
await copyFile(join(root, "client/web/_headers"), join(root, "build/assets/_headers"));
