/** Puts the WGSL of all kernels into one JSON file by their stems, which every host can load. Part of `npm run build`. */

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";

const folder = new URL("../shared/backend/webgpu/kernels/", import.meta.url);
const target = new URL("../build/kernels/", import.meta.url);

const files = readdirSync(folder).filter((file) => file.endsWith(".wgsl"));
const sources = Object.fromEntries(
  files.sort().map((file) => [basename(file, ".wgsl"), readFileSync(new URL(file, folder), "utf8")]),
);
mkdirSync(target, { recursive: true });
writeFileSync(fileURLToPath(new URL("wgsl.json", target)), JSON.stringify(sources, null, 1));
