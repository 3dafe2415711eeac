/** `aerie bench`: how fast a model runs here, in llama-bench's terms. */

import { existsSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { Command, InvalidArgumentError, Option } from "commander";
import type { WeightDType } from "../../shared/backend/packed.ts";
import { type WasmBackend, wasmBackend } from "../../shared/backend/wasm/index.ts";
import { MANIFEST_FILE } from "../../shared/checkpoint/bundle-manifest.ts";
import { packedWeights } from "../../shared/checkpoint/load-weights.ts";
import { matrixDTypes } from "../../shared/checkpoint/matrix-dtypes.ts";
import { createModel, createState, type Model, prefill, restoreState, step } from "../../shared/engine.ts";
import { OptionError } from "../../shared/errors.ts";
import { presets } from "../../shared/model/presets.ts";
import { type RingDType, stateLayout } from "../../shared/model/state-layout.ts";
import { type Arm, interleave, median, type Rate, rate } from "../bench/measure.ts";
import { randomWeights } from "../bench/random-weights.ts";
import { createReadLoop } from "../bench/read-loop.ts";
import { stepProducts } from "../bench/step-products.ts";
import { prefilled, randomTokens } from "../bench/tokens.ts";
import { benchWebGpu } from "../bench/webgpu.ts";
import { loadKernels } from "../kernels.ts";
import { embeddingOption, openModel, ringOption, weightsOption } from "../model-argument.ts";
import { formatBytes, formatCount, progress } from "../progress.ts";

export interface BenchOptions {
  readonly backend: "wasm" | "webgpu";
  readonly shape?: keyof typeof presets;
  /** Default: rg4, and a bundle as it is packed. */
  readonly weights?: WeightDType;
  readonly embedding?: WeightDType;
  readonly ring: RingDType;
  readonly kernels: "auto" | "baseline";
  readonly prompt: number;
  readonly generate: number;
  readonly depth: number[];
  readonly batch: number[];
  readonly repeats: number;
  readonly json?: boolean;
}

export const benchCommand = new Command("bench")
  .description(
    "Measure prefill (pp) and decode (tg) speed, on one thread against this machine's own read loop, or on the GPU.",
  )
  .argument("[model]", "a model; without it, --shape gives random weights")
  .addOption(new Option("--backend <name>", "one core, or the GPU").choices(["wasm", "webgpu"]).default("wasm"))
  .addOption(new Option("--shape <name>", "random weights of this shape").choices(Object.keys(presets)))
  .addOption(weightsOption())
  .addOption(embeddingOption())
  .addOption(ringOption().default("f16"))
  .addOption(
    new Option("--kernels <which>", "relaxed SIMD where it runs, or baseline")
      .choices(["auto", "baseline"])
      .default("auto"),
  )
  .option("--prompt <n>", "tokens of the prefill test", parseCount, 512)
  .option("--generate <n>", "tokens of the decode test", parseCount, 128)
  .option("--depth <list>", "tokens already in the conversation, separated by commas", parseDepths, [0])
  .option("--batch <list>", "sequences decoded together, on the GPU, separated by commas", parseDepths, [])
  .option("--repeats <n>", "samples of each test", parseCount, 5)
  .option("--json", "print one JSON object")
  .action(bench);

interface Test {
  readonly test: string;
  readonly depth: number;
  readonly tokensPerSecond: Rate;
  readonly weightGBps: number;
  readonly readLoopFraction: number;
  /** Of a decode step, the part of its time that its matrix products alone do not take, median over all tokens; null for other tests. */
  readonly otherShare: number | null;
}

async function bench(path: string | undefined, given: BenchOptions): Promise<void> {
  const isBundle = path !== undefined && existsSync(join(path, MANIFEST_FILE));
  const options = isBundle ? given : { ...given, weights: given.weights ?? "rg4" };
  if ((path === undefined) === (options.shape === undefined))
    throw new OptionError("shape", "bench: expected either a model or --shape");
  if (options.backend === "webgpu") return benchWebGpu(path, options);
  if (options.batch.length > 0)
    throw new OptionError("batch", "bench: --batch needs --backend webgpu; one core is busy with one sequence");
  // Tiering up happens on another thread, which may not get its turn while this one computes: compile fully at once.
  setFlagsFromString("--no-liftoff");
  setFlagsFromString("--no-wasm-tier-up");
  const model =
    path === undefined
      ? randomModel(options)
      : await openModel(path, { ...options, backend: "wasm", window: "deepmind" });
  const backend = model.backend as WasmBackend;
  const tests = await measure(model, backend, options);
  const report = {
    machine: {
      cpu: cpus()[0].model,
      cores: cpus().length,
      memoryBytes: totalmem(),
      node: process.versions.node,
      v8: process.versions.v8,
    },
    model: {
      name: options.shape ?? path,
      backend: backend.name,
      weights: options.weights ?? "as packed",
      weightBytes: backend.memory.weightBytes,
      stateBytes: model.stateLayout.bytes,
      memoryBytes: backend.memory.bytes,
      arenaPeakBytes: backend.memory.arenaPeakBytes,
    },
    tests,
  };
  process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : table(report));
}

function randomModel({ shape, weights = "rg4", embedding, ring, kernels }: BenchOptions): Model {
  const config = presets[shape ?? "115m"];
  const dtypes = matrixDTypes(weights, embedding);
  const modules = loadKernels();
  const needs = { config, weights: packedWeights(config, dtypes), stateLayout: stateLayout(config, ring) };
  const backend = wasmBackend(kernels === "baseline" ? { ...modules, relaxed: null } : modules, needs);
  return createModel(config, backend, randomWeights(config, dtypes, backend), { ring });
}

/** pp and tg at every depth and the read loop, in turns. */
async function measure(model: Model, backend: WasmBackend, options: BenchOptions): Promise<Test[]> {
  const { prompt, generate, depth: depths, repeats } = options;
  const tokens = randomTokens(Math.max(prompt, generate, ...depths), model.config.vocabSize);
  const logits = new Float32Array(model.config.vocabSize);
  const arms: Arm[] = [];
  const meta = new Map<string, { test: string; depth: number; tokens: number; weightBytes: number }>();
  const multiply = stepProducts(model);
  const otherShares = new Map<number, number[]>();
  for (const depth of depths) {
    const saved = depth === 0 ? null : await prefilled(model, tokens.slice(0, depth));
    let state = createState(model);
    const prepare = () => {
      state = saved ? restoreState(model, saved) : createState(model);
    };
    const add = (test: string, count: number, run: () => Promise<unknown>) => {
      const name = `${test} @ ${depth}`;
      meta.set(name, { test, depth, tokens: count, weightBytes: 0 });
      arms.push({
        name,
        prepare,
        async run() {
          const before = backend.counters.weightBytes;
          await run();
          const facts = meta.get(name);
          if (facts) facts.weightBytes = backend.counters.weightBytes - before;
        },
      });
    };
    if (prompt > 0) add(`pp${prompt}`, prompt, () => prefill(model, state, tokens.slice(0, prompt)));
    if (generate === 0) continue;
    add(`tg${generate}`, generate, async () => {
      for (const token of tokens.slice(0, generate)) await step(model, state, token, logits);
    });
    // A step and its products alone, in turns: what disturbs the one disturbs the other.
    const shares: number[] = [];
    otherShares.set(depth, shares);
    arms.push({
      name: `products @ ${depth}`,
      prepare,
      async run() {
        for (const token of tokens.slice(0, generate)) {
          const start = performance.now();
          await step(model, state, token, logits);
          const middle = performance.now();
          multiply();
          shares.push(1 - (performance.now() - middle) / (middle - start));
        }
      },
    });
  }
  const loop = "read loop";
  const readLoop = createReadLoop(loadKernels());
  const loopsPerSample = 8;
  arms.push({
    name: loop,
    run() {
      for (let i = 0; i < loopsPerSample; i++) readLoop.run();
    },
  });

  const bar = progress("measuring", formatCount);
  const samples = await interleave(arms, repeats, bar.update);
  bar.stop();
  const secondsOf = (arm: string) => samples.find(({ name }) => name === arm)?.seconds ?? [];
  const loopRate = rate((readLoop.bytes * loopsPerSample) / 1e9, secondsOf(loop));
  const tests = [...meta].map(([name, { test, depth, tokens: count, weightBytes: bytes }]) => {
    const seconds = secondsOf(name);
    const gbps = rate(bytes / 1e9, seconds);
    return {
      test,
      depth,
      tokensPerSecond: rate(count, seconds),
      weightGBps: gbps.best,
      readLoopFraction: gbps.best / loopRate.best,
      otherShare: test.startsWith("tg") ? median(otherShares.get(depth) ?? []) : null,
    };
  });
  const unit = { test: loop, depth: 0, tokensPerSecond: { best: 0, median: 0, sd: 0 }, otherShare: null };
  return [...tests, { ...unit, weightGBps: loopRate.best, readLoopFraction: 1 }];
}

interface Report {
  readonly machine: { readonly cpu: string; readonly cores: number; readonly node: string };
  readonly model: {
    readonly name: string | undefined;
    readonly backend: string;
    readonly weights: string;
    readonly weightBytes: number;
    readonly memoryBytes: number;
  };
  readonly tests: readonly Test[];
}

function table({ machine, model, tests }: Report): string {
  const lines = [
    `${machine.cpu}, ${machine.cores} cores, Node ${machine.node}, 1 thread`,
    `${model.name}, ${model.backend}, ${formatBytes(model.weightBytes)} of weights, ${formatBytes(model.memoryBytes)} in all`,
    "",
    `${"test".padEnd(18)}${"best".padStart(10)}${"median".padStart(10)}${"± sd".padStart(9)} tokens/s${"weights".padStart(14)}${"of read loop".padStart(15)}${"not products".padStart(15)}`,
  ];
  for (const { test, depth, tokensPerSecond, weightGBps, readLoopFraction, otherShare } of tests) {
    const name = depth > 0 ? `${test} @ ${depth}` : test;
    const { best, median, sd } = tokensPerSecond;
    const share = otherShare === null ? "" : `${(100 * otherShare).toFixed(1)} %`;
    const rates =
      best > 0
        ? [best, median].map((x) => x.toFixed(1).padStart(10)).join("") + sd.toFixed(1).padStart(9)
        : " ".repeat(29);
    lines.push(
      `${name.padEnd(18)}${rates}${"".padEnd(9)}${`${weightGBps.toFixed(1)} GB/s`.padStart(14)}${readLoopFraction.toFixed(2).padStart(15)}${share.padStart(15)}`.trimEnd(),
    );
  }
  return `${lines.join("\n")}\n`;
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text.trim()) || !Number.isSafeInteger(count))
    throw new InvalidArgumentError(`expected a whole number, found ${JSON.stringify(text)}`);
  return count;
}

function parseDepths(text: string): number[] {
  return text.split(",").map(parseCount);
}
