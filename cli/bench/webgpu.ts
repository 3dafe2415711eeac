/** `aerie bench --backend webgpu`: prefill and decode on the GPU, what a token is made of, against the GPU's own copy loop. */

import type { State, StateBatch } from "../../shared/backend/backend.ts";
import { type WebGpuBackend, type WebGpuDevice, webgpuBackend } from "../../shared/backend/webgpu/index.ts";
import { packedWeights } from "../../shared/checkpoint/load-weights.ts";
import { matrixDTypes } from "../../shared/checkpoint/matrix-dtypes.ts";
import {
  batchOf,
  createModel,
  createState,
  type Model,
  prefill,
  restoreState,
  stepBatchLargest,
  stepLargest,
} from "../../shared/engine.ts";
import { presets } from "../../shared/model/presets.ts";
import { stateLayout } from "../../shared/model/state-layout.ts";
import type { BenchOptions } from "../commands/bench.ts";
import { openModel } from "../model-argument.ts";
import { formatBytes, formatCount, progress } from "../progress.ts";
import { openWebGpu } from "../webgpu.ts";
import { createCopyLoop } from "./copy-loop.ts";
import { type Arm, interleave, type Rate, rate } from "./measure.ts";
import { randomWeights } from "./random-weights.ts";
import { prefilled, randomTokens } from "./tokens.ts";

// Tokens per call: a GPU has more rows in flight than a core.
const CHUNK = 256;

interface Test {
  readonly test: string;
  readonly depth: number;
  readonly tokensPerSecond: Rate;
  /** What one token, or one token of a prompt, is on average. */
  readonly dispatches: number;
  readonly commands: number;
  readonly submissions: number;
}

export async function benchWebGpu(path: string | undefined, options: BenchOptions): Promise<void> {
  const opened = await openWebGpu();
  const model = await load(opened, path, options);
  const backend = model.backend as WebGpuBackend;
  const bar = progress("compiling", (count) => `${formatCount(count)} kernels`);
  await backend.ready(bar.update);
  bar.stop();
  const loop = createCopyLoop(opened);
  const { tests, copyGBps } = await measure(model, backend, options, loop);
  const report = {
    adapter: { name: opened.name, isSoftware: opened.isSoftware },
    model: {
      name: options.shape ?? path,
      weights: options.weights ?? "as packed",
      weightBytes: backend.weightBytes,
      stateBytes: model.stateLayout.bytes,
    },
    copyGBps,
    tests,
  };
  backend.close();
  process.stdout.write(options.json ? `${JSON.stringify(report)}\n` : table(report));
}

async function load(opened: WebGpuDevice, path: string | undefined, options: BenchOptions): Promise<Model> {
  if (path !== undefined) return openModel(path, { ...options, backend: "webgpu", window: "deepmind" });
  const config = presets[options.shape ?? "115m"];
  const dtypes = matrixDTypes(options.weights ?? "rg4", options.embedding);
  const needs = {
    config,
    weights: packedWeights(config, dtypes),
    stateLayout: stateLayout(config, options.ring),
  };
  const backend = webgpuBackend(opened, needs, { maxTokens: CHUNK });
  return createModel(config, backend, randomWeights(config, dtypes, backend), { ring: options.ring });
}

async function measure(
  model: Model,
  backend: WebGpuBackend,
  { prompt, generate, depth: depths, batch: batches, repeats }: BenchOptions,
  loop: ReturnType<typeof createCopyLoop>,
) {
  const tokens = randomTokens(Math.max(prompt, generate, ...depths, ...batches), model.config.vocabSize);
  const arms: Arm[] = [{ name: "copy loop", run: () => loop.run() }];
  const tests: (Omit<Test, "tokensPerSecond"> & { name: string; count: number })[] = [];
  const add = (
    facts: Pick<Test, "test" | "depth">,
    count: number,
    prepare: () => void | Promise<void>,
    run: () => Promise<unknown>,
  ) => {
    const seen = {
      ...facts,
      name: `${facts.test} @ ${facts.depth}`,
      count,
      dispatches: 0,
      commands: 0,
      submissions: 0,
    };
    tests.push(seen);
    arms.push({
      name: seen.name,
      prepare,
      async run() {
        const before = { ...backend.counters };
        await run();
        for (const key of ["dispatches", "commands", "submissions"] as const)
          seen[key] = (backend.counters[key] - before[key]) / count;
      },
    });
  };
  const chunk = Math.min(CHUNK, backend.maxTokens);
  let held: State | null = null;
  /** For one sample: 128 states are gigabytes, and the collector knows nothing of them. */
  const hold = <Held extends State>(state: Held): Held => {
    held = state;
    return state;
  };
  const release = () => {
    if (held) backend.release(held);
    held = null;
  };
  for (const depth of depths) {
    const saved = depth === 0 ? null : await prefilled(model, tokens.slice(0, depth));
    const createOne = () => (saved ? restoreState(model, saved) : createState(model));
    let state: State;
    const prepare = () => {
      release();
      state = hold(createOne());
    };
    if (prompt > 0)
      add({ test: `pp${prompt}`, depth }, prompt, prepare, () =>
        prefill(model, state, tokens.slice(0, prompt), { chunk }),
      );
    if (generate === 0) continue;
    // Greedy, alone as in a batch: the likeliest token goes back in, and its logit is the only one that is read.
    add({ test: `tg${generate}`, depth }, generate, prepare, async () => {
      let [token] = tokens;
      for (let t = 0; t < generate; t++) [token] = (await stepLargest(model, state, token, 1)).columns;
    });
    for (const size of batches) {
      let batch: StateBatch;
      const prepareBatch = async () => {
        release();
        batch = hold(await batchOf(model, Array.from({ length: size }, createOne)));
      };
      add({ test: `tg${generate} × ${size}`, depth }, generate * size, prepareBatch, async () => {
        let next: readonly number[] = tokens.slice(0, size);
        for (let t = 0; t < generate; t++) next = [...(await stepBatchLargest(model, batch, next, 1)).columns];
      });
    }
  }
  const bar = progress("measuring", formatCount);
  const samples = await interleave(arms, repeats, bar.update);
  bar.stop();
  release();
  const secondsOf = (arm: string) => samples.find(({ name }) => name === arm)?.seconds ?? [];
  return {
    copyGBps: rate(loop.bytes / 1e9, secondsOf("copy loop")).best,
    tests: tests.map(
      ({ name, count, ...facts }): Test => ({ ...facts, tokensPerSecond: rate(count, secondsOf(name)) }),
    ),
  };
}

interface Report {
  readonly adapter: { readonly name: string; readonly isSoftware: boolean };
  readonly model: { readonly name: string | undefined; readonly weightBytes: number };
  readonly copyGBps: number;
  readonly tests: readonly Test[];
}

function table({ adapter, model, copyGBps, tests }: Report): string {
  const lines = [
    `${adapter.name}${adapter.isSoftware ? ": a CPU that plays a GPU, its speed says nothing about one" : ""}`,
    `${model.name}, ${formatBytes(model.weightBytes)} of weights; copying reads and writes ${copyGBps.toFixed(1)} GB/s`,
    "",
    `${"test".padEnd(18)}${"best".padStart(10)}${"median".padStart(10)}${"± sd".padStart(9)} tokens/s${"ms/token".padStart(10)}${"weights".padStart(12)}${"dispatches".padStart(12)}${"commands".padStart(10)}${"submissions".padStart(13)} per token`,
  ];
  for (const { test, depth, tokensPerSecond, dispatches, commands, submissions } of tests) {
    const { best, median, sd } = tokensPerSecond;
    const rates = [best, median].map((x) => x.toFixed(1).padStart(10)).join("") + sd.toFixed(1).padStart(9);
    // A prompt reads its weights once per call, a decoded token once.
    const gbps = /^tg\d+$/.test(test) ? `${((model.weightBytes / 1e9) * best).toFixed(1)} GB/s` : "";
    lines.push(
      `${(depth > 0 ? `${test} @ ${depth}` : test).padEnd(18)}${rates}${"".padEnd(9)}${(1000 / best).toFixed(2).padStart(10)}${gbps.padStart(12)}` +
        `${dispatches.toFixed(1).padStart(12)}${commands.toFixed(1).padStart(10)}${submissions.toFixed(2).padStart(13)}`,
    );
  }
  return `${lines.join("\n")}\n`;
}
