/** The kernels of every backend, fetched from beside the page's own scripts. */

import type { KernelModules } from "../../shared/backend/wasm/kernels.ts";
import type { KernelSources } from "../../shared/backend/webgpu/index.ts";
import { AerieError } from "../../shared/errors.ts";

// As `npm run build` leaves them; the bundler puts them beside the scripts.
const relaxedUrl = new URL("../../build/kernels/relaxed.wasm", import.meta.url);
const baselineUrl = new URL("../../build/kernels/baseline.wasm", import.meta.url);

const wgslUrl = new URL("../../build/kernels/wgsl.json", import.meta.url);

/** The WASM modules, compiled. */
export async function loadKernels(): Promise<KernelModules> {
  const [relaxed, baseline] = await Promise.all([fetchBytes(relaxedUrl), fetchBytes(baselineUrl)]);
  return {
    baseline: await WebAssembly.compile(baseline),
    relaxed: WebAssembly.validate(relaxed) ? await WebAssembly.compile(relaxed) : null,
  };
}

/** The text of the WebGPU kernels. */
export async function loadKernelSources(): Promise<KernelSources> {
  return JSON.parse(new TextDecoder().decode(await fetchBytes(wgslUrl))) as KernelSources;
}

async function fetchBytes(url: URL): Promise<ArrayBuffer> {
  const response = await fetch(url);
  if (!response.ok) throw new AerieError("kernels", `${url.pathname}: the server answered ${response.status}`);
  return response.arrayBuffer();
}
