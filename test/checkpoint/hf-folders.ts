/** The Hugging Face folders that the tests of reading them share: small random models, single or in shards. */

import { referenceBackend } from "../../shared/backend/reference/index.ts";
import type { Folder } from "../../shared/checkpoint/byte-source.ts";
import { createState, lastLogits } from "../../shared/engine.ts";
import { CheckpointError } from "../../shared/errors.ts";
import { type LoadModelOptions, loadModel } from "../../shared/load-model.ts";
import { randomTokens, smallHfConfig } from "../model/random-model.ts";
import { randomCheckpoint } from "../oracle/random-checkpoint.ts";
import { type Dtype, type NamedTensor, writeSafetensors } from "../oracle/safetensors.ts";
import { type MemoryFolder, memoryFolder } from "./sources.ts";

export const MIB = 2 ** 20;
export const INDEX = "model.safetensors.index.json";

/** A random model's tensors in the order of its layers. */
export function tensorsOf(config = smallHfConfig, dtype: Dtype = "F32"): NamedTensor[] {
  return [...randomCheckpoint(config, 1, { dtype }).tensors].map(([name, tensor]) => ({ name, dtype, ...tensor }));
}

export const tensors = tensorsOf();

export const single = (list = tensors, config: unknown = smallHfConfig): MemoryFolder =>
  memoryFolder({ "config.json": config, "model.safetensors": writeSafetensors(list) });

/** Puts every tensor in the shard that `shardOf` says; `lies` replaces or removes (null) places in the index. */
export function sharded(shardOf: (at: number) => number, lies: Record<string, string | null> = {}): MemoryFolder {
  const shards = new Map<string, NamedTensor[]>();
  for (const [at, tensor] of tensors.entries()) {
    const file = `model-${shardOf(at)}.safetensors`;
    shards.set(file, [...(shards.get(file) ?? []), tensor]);
  }
  const places = [...shards].flatMap(([file, list]) => list.map(({ name }) => [name, file] as const));
  const weightMap = Object.entries({ ...Object.fromEntries(places), ...lies }).filter(([, file]) => file !== null);
  return memoryFolder({
    "config.json": smallHfConfig,
    [INDEX]: { metadata: { total_size: 1 }, weight_map: Object.fromEntries(weightMap) },
    ...Object.fromEntries([...shards].map(([file, list]) => [file, writeSafetensors(list)])),
  });
}

export const prompt = randomTokens(20, smallHfConfig.vocab_size);

export async function logitsOf(folder: Folder, options: LoadModelOptions = {}): Promise<Float32Array> {
  const model = await loadModel(folder, referenceBackend, options);
  return lastLogits(model, createState(model), prompt);
}

/** The sentence that loading ends with. */
export async function refusalOf(folder: Folder, options: LoadModelOptions = {}): Promise<string> {
  const error = await loadModel(folder, referenceBackend, options).then(
    () => new Error("the folder was not refused"),
    (error: unknown) => error,
  );
  if (!(error instanceof CheckpointError)) throw error;
  return error.message;
}

export function partsOf(file: Uint8Array): { header: string; data: Uint8Array } {
  const dataStart = 8 + Number(new DataView(file.buffer).getBigUint64(0, true));
  return { header: new TextDecoder().decode(file.subarray(8, dataStart)), data: file.slice(dataStart) };
}
