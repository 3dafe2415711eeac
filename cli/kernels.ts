/** The compiled kernel modules, from where `npm run build` puts them. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { KernelModules } from "../shared/backend/wasm/kernels.ts";
import { AerieError } from "../shared/errors.ts";

export function loadKernels(): KernelModules {
  const relaxed = readKernel("relaxed");
  return {
    baseline: new WebAssembly.Module(readKernel("baseline")),
    relaxed: WebAssembly.validate(relaxed) ? new WebAssembly.Module(relaxed) : null,
  };
}

function readKernel(name: "relaxed" | "baseline"): Uint8Array<ArrayBuffer> {
  const path = fileURLToPath(new URL(`../build/kernels/${name}.wasm`, import.meta.url));
  try {
    return new Uint8Array(readFileSync(path));
  } catch (cause) {
    throw new AerieError("kernels", `${path} is missing: build the kernels with \`npm run build\``, { cause });
  }
}
