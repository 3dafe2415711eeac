/**
 * Our kernels against onnxruntime-web's, our engine against native llama.cpp.
 *     npm run bench:peers -- [--rounds N] [--only matrices|models] [--json]
 */

import { cpus, loadavg, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { loadKernels } from "../../cli/kernels.ts";
import { loadLlamaCpp } from "./llama-cpp.ts";
import { measureMatrices } from "./matrices.ts";
import { measureModels } from "./models.ts";
import { loadOnnxRuntime } from "./onnxruntime-products.ts";
import { markdown, type Report } from "./report.ts";

const { rounds, only, json } = options();

// For every module in this process, the peer's too: optimised code from the first call on, as in `aerie bench`.
setFlagsFromString("--no-liftoff");
setFlagsFromString("--no-wasm-tier-up");

const tell = (sentence: string) => process.stderr.write(`${sentence}\n`);
const loadBefore = loadavg()[0];
const modules = loadKernels();
const ort = only === "models" ? null : await loadOnnxRuntime();
const llamaCpp = only === "matrices" ? null : await loadLlamaCpp();
if (!llamaCpp && only !== "matrices")
  tell("llama.cpp: not measured, its package brings a binary for Linux x64 with glibc only");

const matrices = ort
  ? await measureMatrices(modules, ort, rounds, ({ columns, rows, M }) => tell(`${columns}→${rows}, M = ${M}`))
  : [];
if (llamaCpp) tell("whole models");
const models = llamaCpp ? await measureModels(modules, llamaCpp, rounds) : [];

const report: Report = {
  machine: {
    cpu: cpus()[0].model.trim(),
    cores: cpus().length,
    memoryBytes: totalmem(),
    node: process.versions.node,
    v8: process.versions.v8,
    load: [loadBefore, loadavg()[0]],
  },
  peers: {
    onnxRuntimeWeb: ort?.env.versions.web ?? null,
    llamaCpp: llamaCpp && { version: llamaCpp.version, library: llamaCpp.library, features: llamaCpp.features },
  },
  rounds,
  matrices,
  models,
};
process.stdout.write(json ? `${JSON.stringify(report)}\n` : markdown(report));
process.exit(); // onnxruntime-web keeps a heap of gigabytes and no way to give it back

function options() {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "15" },
      only: { type: "string" },
      json: { type: "boolean", default: false },
    },
  });
  const count = Number(values.rounds);
  if (!Number.isInteger(count) || count < 1) fail(`--rounds: expected a whole number from 1, found ${values.rounds}`);
  const part = values.only;
  if (part !== undefined && part !== "matrices" && part !== "models")
    fail(`--only: expected matrices or models, found ${part}`);
  return { rounds: count, only: part, json: values.json };
}

function fail(sentence: string): never {
  process.stderr.write(`bench:peers: ${sentence}\n`);
  process.exit(2);
}
