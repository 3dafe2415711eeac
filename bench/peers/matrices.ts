/** Part 1: our matrix products against onnxruntime-web's, at M = 1 (decode) and M = 64 (prefill). */

import { type Arm, interleave, type Rate, rate } from "../../cli/bench/measure.ts";
import type { KernelModules } from "../../shared/backend/wasm/kernels.ts";
import { aerieProduct, kernelRing, readLoop } from "./aerie-products.ts";
import { type Ort, type OrtFormat, ortProduct } from "./onnxruntime-products.ts";
import type { Product, ProductShape } from "./product.ts";

const shapes = [
  { columns: 768, rows: 768 },
  { columns: 768, rows: 2304 },
  { columns: 2304, rows: 768 },
  { columns: 2560, rows: 2560 },
  { columns: 2560, rows: 7680 },
] as const;

const formats: readonly OrtFormat[] = ["int4", "int8", "f32"];

/** Samples take at least so long: long enough for the clock, short enough that some are undisturbed. */
const SAMPLE_SECONDS = 0.03;

export interface ArmResult {
  readonly name: string;
  /** null for the read loop. */
  readonly gmacPerSecond: Rate | null;
  /** Weights read. */
  readonly gbPerSecond: Rate;
}

export interface MatrixResult extends ProductShape {
  readonly arms: readonly ArmResult[];
}

export async function measureMatrices(
  modules: KernelModules,
  ort: Ort,
  rounds: number,
  onShape: (shape: ProductShape) => void,
): Promise<MatrixResult[]> {
  if (!modules.relaxed) throw new Error("this host has no relaxed SIMD: the matrix bench needs it");
  const relaxed = kernelRing(modules.relaxed);
  const baseline = kernelRing(modules.baseline);
  const results: MatrixResult[] = [];
  for (const M of [1, 64]) {
    for (const { rows, columns } of shapes) {
      const shape = { rows, columns, M };
      onShape(shape);
      const theirs = [];
      for (const format of formats) theirs.push(await ortProduct(ort, format, shape));
      const products = [
        aerieProduct("rg4 relaxed", "rg4", relaxed, shape),
        aerieProduct("rg4 baseline", "rg4", baseline, shape),
        aerieProduct("rg8", "rg8", relaxed, shape),
        ...theirs,
        ...(M === 1 ? [readLoop(relaxed)] : []),
      ];
      results.push({ ...shape, arms: await compare(products, rounds) });
      for (const product of theirs) await product.release();
    }
  }
  return results;
}

async function compare(products: readonly Product[], rounds: number): Promise<ArmResult[]> {
  const arms: Arm[] = [];
  const times: number[] = [];
  for (const product of products) {
    const repeats = await repeatsFor(product);
    times.push(repeats);
    arms.push({ name: product.name, run: () => product.run(repeats) });
  }
  const samples = await interleave(arms, rounds);
  return samples.map(({ name, seconds }, at) => {
    const { macs, weightBytes } = products[at];
    return {
      name,
      gmacPerSecond: macs > 0 ? rate((times[at] * macs) / 1e9, seconds) : null,
      gbPerSecond: rate((times[at] * weightBytes) / 1e9, seconds),
    };
  });
}

/** How often a product runs in one sample. */
async function repeatsFor(product: Product): Promise<number> {
  for (let repeats = 1; ; repeats *= 2) {
    const start = performance.now();
    await product.run(repeats);
    if ((performance.now() - start) / 1000 >= SAMPLE_SECONDS) return repeats;
  }
}
