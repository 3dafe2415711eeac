/** Part 2: a whole model, ours against native llama.cpp's of equally many parameters. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Arm, interleave, type Rate, rate } from "../../cli/bench/measure.ts";
import { randomWeights } from "../../cli/bench/random-weights.ts";
import { weightBytes } from "../../shared/backend/packed.ts";
import { wasmBackend } from "../../shared/backend/wasm/index.ts";
import type { KernelModules } from "../../shared/backend/wasm/kernels.ts";
import { packedWeights } from "../../shared/checkpoint/load-weights.ts";
import { matrixDTypes } from "../../shared/checkpoint/matrix-dtypes.ts";
import { createModel, createState, type Model, prefill, step } from "../../shared/engine.ts";
import { griffin115M } from "../../shared/model/presets.ts";
import { stateLayout } from "../../shared/model/state-layout.ts";
import { elements, weightTable } from "../../shared/model/weight-table.ts";
import { weightLeaves } from "../../shared/model/weight-tree.ts";
import { type GgufDType, type LlamaShape, writeLlama } from "./gguf.ts";
import type { LlamaCpp, LlamaModel } from "./llama-cpp.ts";
import { randomTokens } from "./random-bytes.ts";

const config = griffin115M;

/** As many parameters as `config`, in the proportions of today's small llamas: grouped queries and a wider MLP instead of gates. */
const llamaShape: LlamaShape = {
  layers: 12,
  width: 768,
  mlpWidth: 2560,
  heads: 12,
  kvHeads: 4,
  vocabSize: config.vocabSize,
  contextSize: 1024,
};

const pairs = [
  { ours: "rg4", theirs: "Q4_0" },
  { ours: "rg8", theirs: "Q8_0" },
] as const;

const PROMPT_TOKENS = 512;
const GENERATED_TOKENS = 128;

export interface ModelResult {
  /** llama-bench's names: tokens generated one by one, and a prompt's. */
  readonly test: "tg128" | "pp512";
  readonly ours: string;
  readonly theirs: string;
  readonly parameters: { readonly ours: number; readonly theirs: number };
  readonly weightBytes: { readonly ours: number; readonly theirs: number };
  /** Where llama.cpp put its weights; CPU_REPACK: rearranged for this processor's instructions. */
  readonly llamaBuffers: readonly string[];
  readonly tokensPerSecond: { readonly ours: Rate; readonly theirs: Rate };
}

interface Pair {
  readonly ours: (typeof pairs)[number]["ours"];
  readonly theirs: GgufDType;
  readonly weightBytes: { readonly ours: number; readonly theirs: number };
  readonly model: Model;
  readonly llama: LlamaModel;
}

export async function measureModels(
  modules: KernelModules,
  llamaCpp: LlamaCpp,
  rounds: number,
): Promise<ModelResult[]> {
  const folder = mkdtempSync(join(tmpdir(), "aerie-peers-"));
  const opened: Pair[] = [];
  try {
    for (const { ours, theirs } of pairs) {
      const path = join(folder, `${theirs}.gguf`);
      const bytes = {
        ours: weightBytes(packedWeights(config, matrixDTypes(ours))),
        theirs: writeLlama(path, llamaShape, theirs),
      };
      opened.push({
        ours,
        theirs,
        weightBytes: bytes,
        model: aerieModel(modules, ours),
        llama: await llamaCpp.open(path),
      });
    }
    const parameters = { ours: aerieParameters(), theirs: opened[0].llama.parameters };
    if (Math.abs(parameters.theirs / parameters.ours - 1) > 0.01)
      throw new Error(`the models are of different sizes: ${parameters.ours} and ${parameters.theirs} parameters`);
    const arms = opened.flatMap(pairArms);
    const samples = await interleave(arms, rounds);
    const speed = (arm: number, tokens: number) =>
      rate(tokens, arms[arm].ownSeconds?.slice(-rounds) ?? samples[arm].seconds);
    return opened.flatMap(({ ours, theirs, weightBytes, llama }, pair) =>
      (
        [
          ["tg128", GENERATED_TOKENS],
          ["pp512", PROMPT_TOKENS],
        ] as const
      ).map(([test, tokens], at): ModelResult => {
        const arm = 4 * pair + 2 * at;
        const tokensPerSecond = { ours: speed(arm, tokens), theirs: speed(arm + 1, tokens) };
        return { test, ours, theirs, parameters, weightBytes, llamaBuffers: llama.buffers, tokensPerSecond };
      }),
    );
  } finally {
    for (const { llama } of opened) await llama.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

const aerieParameters = (): number =>
  weightLeaves(weightTable(config)).reduce((sum, { shape }) => sum + elements(shape), 0);

function aerieModel(modules: KernelModules, weights: Pair["ours"]): Model {
  const dtypes = matrixDTypes(weights);
  const ring = "f16"; // as llama.cpp stores keys and values
  const needs = { config, weights: packedWeights(config, dtypes), stateLayout: stateLayout(config, ring) };
  const backend = wasmBackend(modules, needs);
  return createModel(config, backend, randomWeights(config, dtypes, backend), { ring });
}

interface ModelArm extends Arm {
  /** What a clock of its own says about every sample, the first and uncounted one included. */
  readonly ownSeconds?: readonly number[];
}

/** Decode ours, theirs; prefill ours, theirs. Both end with the logits of the last token in memory, and nobody samples. */
function pairArms({ ours, theirs, model, llama }: Pair): ModelArm[] {
  const tokens = randomTokens(PROMPT_TOKENS, config.vocabSize);
  const ids = Uint32Array.from(tokens);
  const logits = new Float32Array(config.vocabSize);
  let state = createState(model);
  const prepareOurs = () => {
    state = createState(model);
  };
  const theirArm = (name: string, decode: () => Promise<void>): ModelArm => {
    const ownSeconds: number[] = [];
    const prepare = () => llama.clear();
    const run = async () => {
      await decode();
      ownSeconds.push(await llama.seconds());
    };
    return { name, prepare, run, ownSeconds };
  };
  return [
    {
      name: `${ours} decode`,
      prepare: prepareOurs,
      async run() {
        for (let t = 0; t < GENERATED_TOKENS; t++) await step(model, state, tokens[t], logits);
      },
    },
    theirArm(`${theirs} decode`, async () => {
      for (let t = 0; t < GENERATED_TOKENS; t++) await llama.decode(ids.subarray(t, t + 1), t);
    }),
    {
      name: `${ours} prefill`,
      prepare: prepareOurs,
      run: async () => void (await prefill(model, state, tokens)),
    },
    theirArm(`${theirs} prefill`, () => llama.decode(ids, 0)),
  ];
}
