/** `aerie inspect`: what a model is and costs, from its config and headers alone; no weight is read. */

import { Command } from "commander";
import { openHfCheckpoint } from "../../shared/checkpoint/hf-checkpoint.ts";
import { matchTensors } from "../../shared/checkpoint/load-weights.ts";
import type { MixerKind } from "../../shared/model/config.ts";
import { type RingDType, stateLayout } from "../../shared/model/state-layout.ts";
import { elements } from "../../shared/model/weight-table.ts";
import { weightLeaves } from "../../shared/model/weight-tree.ts";
import { windowOption, withFolder } from "../model-argument.ts";
import { formatBytes, formatCount } from "../progress.ts";

interface InspectOptions {
  readonly window: "deepmind" | "hf";
  readonly json?: boolean;
  readonly tensors?: boolean;
}

const ringDTypes: RingDType[] = ["f32", "f16", "i8"];

export const inspectCommand = new Command("inspect")
  .description("Show a model's config, parameters, bytes and state size, and check that its tensors fit its config.")
  .argument("<model>", "folder in Hugging Face's RecurrentGemma format, or one .safetensors file of such a folder")
  .addOption(windowOption())
  .option("--tensors", "list every tensor")
  .option("--json", "print one JSON object, tensors included")
  .action(inspect);

async function inspect(path: string, options: InspectOptions): Promise<void> {
  const report = await withFolder(path, async (folder, weightsFile) => {
    const { config, tensors } = await openHfCheckpoint(folder, {
      window: options.window,
      ...(weightsFile && { weightsFile }),
    });
    const leaves = weightLeaves(matchTensors(config, tensors));
    return {
      config,
      parameters: leaves.reduce((sum, { spec }) => sum + elements(spec.shape), 0),
      embeddingParameters: config.vocabSize * config.width * (config.tiedEmbeddings ? 1 : 2),
      weightBytes: leaves.reduce((sum, { entry }) => sum + entry.bytes, 0),
      stateBytes: Object.fromEntries(ringDTypes.map((ring) => [ring, stateLayout(config, ring).bytes])),
      recurrentStateBytes: stateLayout(config).recurrentBytes,
      tensors: leaves.map(({ spec, entry }) => ({
        name: spec.name,
        shape: entry.shape,
        dtype: entry.dtype,
        role: spec.role,
        file: entry.source.name,
      })),
    };
  });
  if (options.json) {
    process.stdout.write(`${JSON.stringify(report)}\n`);
    return;
  }

  const { config, parameters, embeddingParameters, tensors } = report;
  const dtypes = [...new Set(tensors.map(({ dtype }) => dtype))].join(", ");
  const rows: [string, string][] = [
    ["blocks", describeBlocks(config.mixers)],
    [
      "width",
      `${config.width}, recurrence ${config.lruWidth} in ${config.gateBlocks} gate blocks, MLP ${config.mlpWidth}`,
    ],
    [
      "attention",
      `${config.heads} heads of ${config.headDim}, ${config.kvHeads} for keys and values, ${config.windowKeys} keys seen`,
    ],
    ["vocabulary", `${formatCount(config.vocabSize)}, ${config.tiedEmbeddings ? "tied" : "untied"} embeddings`],
    ["parameters", `${formatCount(parameters)} (${formatCount(embeddingParameters)} of them embeddings)`],
    ["weights", `${formatBytes(report.weightBytes)} ${dtypes} in ${tensors.length} tensors`],
    ["state", ringDTypes.map((ring) => `${formatBytes(report.stateBytes[ring])} (${ring} ring)`).join(", ")],
    ["", `${formatBytes(report.recurrentStateBytes)} of it recurrent; the same after one token as after a million`],
  ];
  for (const [name, value] of rows) process.stdout.write(`${name.padEnd(11)} ${value}\n`);
  if (!options.tensors) return;
  process.stdout.write("\n");
  for (const { name, shape, dtype } of tensors) process.stdout.write(`${name}  ${shape.join("×")}  ${dtype}\n`);
}

function describeBlocks(mixers: readonly MixerKind[]): string {
  const recurrent = mixers.filter((kind) => kind === "rg-lru").length;
  return `${mixers.length}: ${recurrent} recurrent, ${mixers.length - recurrent} local attention`;
}
