/** From WGSL to pipelines, once per device: begun ahead where it is known that they will be needed, else at their first use. */

import { AerieError } from "../../errors.ts";
import { type GpuDevice, VISIBLE_TO_COMPUTE } from "./gpu.ts";
import type { Kernel } from "./kernels.ts";

/** The text of every file in `kernels/` by its stem: what `npm run build` puts into build/kernels/wgsl.json. */
export type KernelSources = Readonly<Record<string, string>>;

/** The bind groups that all kernels share (prelude.wgsl). */
export interface GroupLayouts {
  readonly base: object;
  readonly weight: object;
  readonly state: object;
  readonly quantised: object;
}

// Prepended to every kernel; functions that it does not call cost nothing.
const SNIPPETS = ["prelude", "integers", "math", "divide"];

export class Pipelines {
  readonly layouts: GroupLayouts;
  readonly #device: GpuDevice;
  readonly #sources: KernelSources;
  readonly #dot: string;
  readonly #layout: object;
  readonly #made = new Map<Kernel, object>();
  readonly #begun = new Map<Kernel, Promise<unknown>>();

  constructor(device: GpuDevice, sources: KernelSources, hasPackedDot: boolean) {
    this.#device = device;
    this.#sources = sources;
    this.#dot = hasPackedDot ? "dot-packed" : "dot-emulated";
    const buffer = (binding: number, type: "uniform" | "storage" | "read-only-storage") => ({
      binding,
      visibility: VISIBLE_TO_COMPUTE,
      buffer: { type, hasDynamicOffset: type === "uniform" },
    });
    const layout = (...types: ("uniform" | "storage" | "read-only-storage")[]) =>
      device.createBindGroupLayout({ entries: types.map((type, binding) => buffer(binding, type)) });
    this.layouts = {
      base: layout("uniform", "storage", "read-only-storage"),
      weight: layout("read-only-storage", "read-only-storage", "read-only-storage"),
      state: layout("storage"),
      quantised: layout("storage"),
    };
    const { base, weight, state, quantised } = this.layouts;
    this.#layout = device.createPipelineLayout({ bindGroupLayouts: [base, weight, state, quantised] });
  }

  /** The pipeline, compiled on the spot if nobody began it or it is not done yet. */
  get(kernel: Kernel): object {
    let pipeline = this.#made.get(kernel);
    if (!pipeline) {
      pipeline = this.#device.createComputePipeline(this.#descriptor(kernel));
      this.#made.set(kernel, pipeline);
    }
    return pipeline;
  }

  /** Compiles in the background what will be needed. */
  begin(kernels: readonly Kernel[]): void {
    for (const kernel of kernels) {
      if (this.#made.has(kernel) || this.#begun.has(kernel)) continue;
      const compiled = this.#device.createComputePipelineAsync(this.#descriptor(kernel)).then((pipeline) => {
        if (!this.#made.has(kernel)) this.#made.set(kernel, pipeline);
      });
      compiled.catch(() => undefined); // `ready` reports it
      this.#begun.set(kernel, compiled);
    }
  }

  /** Waits for all that was begun. */
  async ready(onProgress?: (done: number, total: number) => unknown): Promise<void> {
    const begun = [...this.#begun.values()];
    let done = 0;
    await Promise.all(
      begun.map(async (compiled) => {
        await compiled;
        await onProgress?.(++done, begun.length);
      }),
    );
  }

  #descriptor({ files, constants, entry }: Kernel) {
    const header = Object.entries(constants).map(([name, value]) => `const ${name} = ${value}u;\n`);
    const code = [...header, ...[...SNIPPETS, this.#dot, ...files].map((file) => this.#text(file))].join("\n");
    const label = `${files[files.length - 1]} ${entry} ${JSON.stringify(constants)}`;
    const module = this.#device.createShaderModule({ label, code });
    return { label, layout: this.#layout, compute: { module, entryPoint: entry } };
  }

  #text(file: string): string {
    const text = this.#sources[file];
    if (text === undefined)
      throw new AerieError(
        "kernels",
        `the WGSL sources have no ${file}: they were built from other files, run npm run build`,
      );
    return text;
  }
}
