/** A Hugging Face model folder: its config, and its tensors wherever they lie, in one file or in shards with an index. */

import { z } from "zod";
import { CheckpointError } from "../errors.ts";
import type { ModelConfig } from "../model/config.ts";
import { eosTokenIds, type HfConfigOptions, parseHfConfig } from "../model/hf-config.ts";
import { type ByteSource, type Folder, readText, unreadable } from "./byte-source.ts";
import { openSafetensors, type TensorEntry } from "./safetensors.ts";
import { isStringMap, parseStrictJson, quoted, shown } from "./strict-json.ts";

export interface HfCheckpoint {
  readonly config: ModelConfig;
  readonly tensors: ReadonlyMap<string, TensorEntry>;
}

export interface HfCheckpointOptions extends Pick<HfConfigOptions, "window"> {
  /** Read the tensors from this file of the folder instead of `model.safetensors` or the shards. */
  readonly weightsFile?: string;
}

const MAX_CONFIG_BYTES = 2 ** 20;
const MAX_INDEX_BYTES = 2 ** 20; // RecurrentGemma-9B's has 0.1 MB

const indexSchema = z.object({ weight_map: z.custom<Record<string, string>>(isStringMap) });
const generationConfigSchema = z.object({ eos_token_id: eosTokenIds.nullish() });

/** Reads config and headers; no weight yet. */
export async function openHfCheckpoint(folder: Folder, options: HfCheckpointOptions = {}): Promise<HfCheckpoint> {
  const configText = await readText(await mustOpen(folder, "config.json"), MAX_CONFIG_BYTES);
  const config = parseHfConfig(parseStrictJson(configText, "config.json"), {
    ...options,
    moreEosIds: await generationEosIds(folder),
  });
  return { config, tensors: await openTensors(folder, options.weightsFile) };
}

/** `generation_config.json` is where chat models name their end-of-turn token. */
async function generationEosIds(folder: Folder): Promise<number[]> {
  const source = await tryOpen(folder, "generation_config.json");
  if (!source) return [];
  const parsed = generationConfigSchema.safeParse(
    parseStrictJson(await readText(source, MAX_CONFIG_BYTES), source.name),
  );
  if (!parsed.success)
    throw new CheckpointError("json", `${source.name}: eos_token_id must be a token id or a list of them`);
  return [parsed.data.eos_token_id ?? []].flat();
}

async function openTensors(folder: Folder, weightsFile: string | undefined): Promise<Map<string, TensorEntry>> {
  if (weightsFile) return openSafetensors(await mustOpen(folder, weightsFile));
  const single = await tryOpen(folder, "model.safetensors");
  if (single) return openSafetensors(single);
  const index = await tryOpen(folder, "model.safetensors.index.json");
  if (index) return openShards(folder, index);
  throw new CheckpointError(
    "unreadable",
    "the folder holds neither model.safetensors nor model.safetensors.index.json: is it a model folder in safetensors format?",
  );
}

async function openShards(folder: Folder, indexSource: ByteSource): Promise<Map<string, TensorEntry>> {
  const parsed = indexSchema.safeParse(parseStrictJson(await readText(indexSource, MAX_INDEX_BYTES), indexSource.name));
  if (!parsed.success)
    throw new CheckpointError("json", `${indexSource.name}: weight_map must map tensor names to file names`);
  const fileOf = new Map(Object.entries(parsed.data.weight_map));

  const tensors = new Map<string, TensorEntry>();
  for (const file of new Set(fileOf.values())) {
    // A name is a file of this folder and nothing else: an index must not reach out of it.
    if (!/^[\w.-]+\.safetensors$/.test(file) || file.startsWith("."))
      throw new CheckpointError(
        "json",
        `${indexSource.name} names ${quoted(file)}, which is not a .safetensors file of the folder`,
      );
    for (const [name, entry] of await openSafetensors(await mustOpen(folder, file))) {
      const place = fileOf.get(name);
      if (place !== file)
        throw new CheckpointError(
          "unexpected",
          `${file} holds ${shown(name)}, which ${indexSource.name} places in ${place === undefined ? "no file" : shown(place)}`,
          { tensor: name },
        );
      tensors.set(name, entry);
    }
  }
  for (const [name, file] of fileOf) {
    if (!tensors.has(name))
      throw new CheckpointError(
        "missing",
        `${indexSource.name} places ${shown(name)} in ${file}, which does not hold it`,
        { tensor: name },
      );
  }
  return tensors;
}

async function mustOpen(folder: Folder, name: string): Promise<ByteSource> {
  const source = await tryOpen(folder, name);
  if (!source) throw new CheckpointError("unreadable", `${name} is missing from the model's folder`);
  return source;
}

async function tryOpen(folder: Folder, name: string): Promise<ByteSource | null> {
  try {
    return await folder.open(name);
  } catch (cause) {
    throw unreadable(`${name} can't be opened`, cause);
  }
}
