/** `aerie inspect`: what a model is and costs. Of a checkpoint no weight is read; of a bundle every byte is verified. */

import { Command } from "commander";
import { type Manifest, streamBytes } from "../../shared/checkpoint/bundle-manifest.ts";
import { openBundle, verifyBundle } from "../../shared/checkpoint/bundle-reader.ts";
import type { Folder } from "../../shared/checkpoint/byte-source.ts";
import { openHfCheckpoint } from "../../shared/checkpoint/hf-checkpoint.ts";
import { matchTensors } from "../../shared/checkpoint/load-weights.ts";
import type { MixerKind, ModelConfig } from "../../shared/model/config.ts";
import { type RingDType, stateLayout } from "../../shared/model/state-layout.ts";
import { elements, weightTable } from "../../shared/model/weight-table.ts";
import { weightLeaves } from "../../shared/model/weight-tree.ts";
import { sha256Hasher } from "../bundle-folder.ts";
import { windowOption, withFolder } from "../model-argument.ts";
import { formatBytes, formatCount, progress } from "../progress.ts";

interface InspectOptions {
  readonly window: "deepmind" | "hf";
  readonly json?: boolean;
  readonly tensors?: boolean;
}

const ringDTypes: RingDType[] = ["f32", "f16", "i8"];

export const inspectCommand = new Command("inspect")
  .description(
    "Show a model's config, parameters, bytes and state size; check that its tensors fit its config, and that a bundle is whole.",
  )
  .argument("<model>", "folder in Hugging Face's RecurrentGemma format, or one .safetensors file of such a folder")
  .addOption(windowOption())
  .option("--tensors", "list every tensor")
  .option("--json", "print one JSON object, tensors included")
  .action(inspect);

interface Report {
  readonly config: ModelConfig;
  readonly parameters: number;
  readonly embeddingParameters: number;
  readonly weightBytes: number;
  readonly stateBytes: Record<RingDType, number>;
  readonly recurrentStateBytes: number;
  readonly tensors: readonly ReportedTensor[];
  readonly bundle: { readonly digest: string; readonly ring: RingDType; readonly license: string | null } | null;
}

interface ReportedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly bytes: number;
}

async function inspect(path: string, options: InspectOptions): Promise<void> {
  const report = await withFolder(path, async (folder, weightsFile) => {
    const manifest = await openBundle(folder, sha256Hasher);
    return manifest ? inspectBundle(folder, manifest) : inspectCheckpoint(folder, weightsFile, options);
  });
  if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`);
  else printReport(report, options);
}

/** Reads every byte: a bundle that is shown is whole. */
async function inspectBundle(folder: Folder, manifest: Manifest): Promise<Report> {
  const bar = progress("verifying", formatBytes);
  await verifyBundle(folder, manifest, { createHasher: sha256Hasher, onProgress: bar.update });
  bar.stop();
  const { config, tensors, digest, ring, license } = manifest;
  return { ...reportOf(config, tensors, streamBytes(tensors)), bundle: { digest, ring, license } };
}

async function inspectCheckpoint(
  folder: Folder,
  weightsFile: string | undefined,
  options: InspectOptions,
): Promise<Report> {
  const { window } = options;
  const { config, tensors } = await openHfCheckpoint(folder, { window, ...(weightsFile && { weightsFile }) });
  const leaves = weightLeaves(matchTensors(config, tensors));
  const listed = leaves.map(({ spec, entry }) => ({
    name: spec.name,
    shape: entry.shape,
    dtype: entry.dtype,
    bytes: entry.bytes,
  }));
  return {
    ...reportOf(
      config,
      listed,
      listed.reduce((sum, { bytes }) => sum + bytes, 0),
    ),
    bundle: null,
  };
}

function reportOf(
  config: ModelConfig,
  tensors: readonly ReportedTensor[],
  weightBytes: number,
): Omit<Report, "bundle"> {
  const specs = weightLeaves(weightTable(config));
  return {
    config,
    parameters: specs.reduce((sum, { shape }) => sum + elements(shape), 0),
    embeddingParameters: config.vocabSize * config.width * (config.tiedEmbeddings ? 1 : 2),
    weightBytes,
    stateBytes: {
      f32: stateLayout(config, "f32").bytes,
      f16: stateLayout(config, "f16").bytes,
      i8: stateLayout(config, "i8").bytes,
    },
    recurrentStateBytes: stateLayout(config).recurrentBytes,
    tensors,
  };
}

function printReport(report: Report, options: InspectOptions): void {
  const { config, parameters, embeddingParameters, tensors, bundle } = report;
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
  if (bundle) {
    rows.push([
      "bundle",
      `whole: every sha256 is right; states keep ${bundle.ring} keys; licence ${bundle.license ?? "not recorded"}`,
    ]);
    rows.push(["digest", bundle.digest]);
  }
  for (const [name, value] of rows) process.stdout.write(`${name.padEnd(11)} ${value}\n`);
  if (!options.tensors) return;
  process.stdout.write("\n");
  for (const { name, shape, dtype } of tensors) process.stdout.write(`${name}  ${shape.join("×")}  ${dtype}\n`);
}

function describeBlocks(mixers: readonly MixerKind[]): string {
  const recurrent = mixers.filter((kind) => kind === "rg-lru").length;
  return `${mixers.length}: ${recurrent} recurrent, ${mixers.length - recurrent} local attention`;
}
