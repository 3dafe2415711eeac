/** The `<model>` argument and its options, the same for every command: a folder, or one weights file of a folder. */

import { stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { type Command, Option } from "commander";
import type { CreateBackend } from "../shared/backend/backend.ts";
import type { WeightDType } from "../shared/backend/packed.ts";
import { referenceBackend } from "../shared/backend/reference/index.ts";
import { wasmBackend } from "../shared/backend/wasm/index.ts";
import { wasmPacker } from "../shared/backend/wasm/packer.ts";
import { webgpuBackend } from "../shared/backend/webgpu/index.ts";
import { matrixDTypes } from "../shared/checkpoint/matrix-dtypes.ts";
import type { Model } from "../shared/engine.ts";
import { AerieError, TokenizerError } from "../shared/errors.ts";
import { loadModel } from "../shared/load-model.ts";
import { loadTextSide, type TextSide, textFiles } from "../shared/load-text-side.ts";
import { TOKENIZER_FILE } from "../shared/load-tokenizer.ts";
import type { RingDType } from "../shared/model/state-layout.ts";
import { sha256Hasher } from "./bundle-folder.ts";
import { loadKernels } from "./kernels.ts";
import { type NodeFolder, nodeFolder } from "./node-folder.ts";
import { formatBytes, progress } from "./progress.ts";
import { openWebGpu } from "./webgpu.ts";

const backends = {
  wasm: async () => (needs) => wasmBackend(loadKernels(), needs),
  webgpu: async () => {
    const opened = await openWebGpu();
    return (needs) => webgpuBackend(opened, needs);
  },
  reference: async () => referenceBackend,
} as const satisfies Record<string, () => Promise<CreateBackend>>;

export interface ModelOptions {
  readonly backend: keyof typeof backends;
  readonly window: "deepmind" | "hf";
  readonly ring?: RingDType;
  readonly weights?: WeightDType;
  readonly embedding?: WeightDType;
}

/** Adds the argument and the options that every command with a model takes. */
export function withModel(command: Command): Command {
  return command
    .argument(
      "<model>",
      "a bundle, a folder in Hugging Face's RecurrentGemma format, or one .safetensors file of such a folder",
    )
    .addOption(windowOption())
    .addOption(ringOption());
}

export const windowOption = (): Option =>
  new Option("--window <whose>", "keys a query sees: DeepMind's window + 1 or Hugging Face's window")
    .choices(["deepmind", "hf"])
    .default("deepmind");

export const ringOption = (): Option =>
  new Option("--ring <dtype>", "how the state stores attention keys and values").choices(["f32", "f16", "i8"]);

const dtypes = ["f32", "f16", "rg8", "rg4"] as const;

export const weightsOption = (): Option =>
  new Option("--weights <dtype>", "how the matrices are packed: exactly, in 8.25 bits, or in 4.5 bits").choices(dtypes);

export const embeddingOption = (): Option =>
  new Option("--embedding <dtype>", "how the embedding is packed (default: as the matrices)").choices(dtypes);

export const backendOption = (): Option =>
  new Option(
    "--backend <name>",
    "what computes: WASM SIMD, the GPU, or the plain TypeScript that defines what is right",
  )
    .choices(Object.keys(backends))
    .default("wasm");

/** Opens the folder of a `<model>` argument for the length of `use`. */
export async function withFolder<Result>(
  path: string,
  use: (folder: NodeFolder, weightsFile: string | undefined) => Promise<Result>,
): Promise<Result> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
    throw error; // a folder that may not be read is not a folder that is not there
  });
  if (!found)
    throw new AerieError(
      "model.path",
      `${path}: there is no such file or folder; a model is a folder with a config.json`,
    );
  const folder = nodeFolder(found.isDirectory() ? path : dirname(path));
  try {
    return await use(folder, found.isDirectory() ? undefined : basename(path));
  } finally {
    await folder.close();
  }
}

/** Loads a model, with a progress bar where that takes a while. */
export async function openModel(path: string, options: ModelOptions): Promise<Model> {
  const createBackend = await backends[options.backend]();
  return withFolder(path, async (folder, weightsFile) => {
    const bar = progress("loading", formatBytes);
    try {
      return await loadModel(folder, createBackend, {
        ...(weightsFile && { weightsFile }),
        window: options.window,
        ...(options.ring && { ring: options.ring }),
        ...(options.weights && {
          dtypes: matrixDTypes(options.weights, options.embedding),
          packer: wasmPacker(loadKernels(), 2 ** 16),
        }),
        createHasher: sha256Hasher,
        onProgress: bar.update,
      });
    } finally {
      bar.stop();
    }
  });
}

/** The tokenizer and chat template that lie beside the weights. */
export function openTextSide(path: string): Promise<TextSide> {
  return withFolder(path, async (folder) => {
    const text = await loadTextSide(await textFiles(folder, sha256Hasher));
    if (!text)
      throw new TokenizerError(`${path} has no ${TOKENIZER_FILE}: text needs one, \`aerie logits --tokens\` does not`);
    return text;
  });
}
