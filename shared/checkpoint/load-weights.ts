/** From a checkpoint's tensors to a backend's weights: everything is checked first, then read one tensor at a time. */

import type { Backend, Weight } from "../backend/backend.ts";
import { CheckpointError } from "../errors.ts";
import type { ModelConfig } from "../model/config.ts";
import { type WeightSpec, weightTable } from "../model/weight-table.ts";
import { type ModelWeights, mapWeights, weightLeaves } from "../model/weight-tree.ts";
import { prepare } from "./prepare.ts";
import { readF32, type TensorEntry } from "./safetensors.ts";

export interface LoadOptions {
  /** Called after every tensor with bytes of the checkpoint. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void;
}

export async function loadWeights(
  config: ModelConfig,
  tensors: ReadonlyMap<string, TensorEntry>,
  backend: Backend,
  options: LoadOptions = {},
): Promise<ModelWeights<Weight>> {
  const table = matchTensors(config, tensors);
  const leaves = weightLeaves(table);
  const totalBytes = leaves.reduce((sum, { entry }) => sum + entry.bytes, 0);
  let doneBytes = 0;
  const loaded = new Map<string, Weight>();
  for (const { spec, entry } of leaves) {
    const { shape, values } = prepare(spec, await readF32(entry));
    loaded.set(spec.name, backend.weight(spec.role, shape, values));
    doneBytes += entry.bytes;
    options.onProgress?.(doneBytes, totalBytes);
  }
  return mapWeights(table, ({ spec }) => loaded.get(spec.name) as Weight);
}

/** Pairs what the config asks for with what the files hold; throws a `CheckpointError` at the first disagreement. */
export function matchTensors(
  config: ModelConfig,
  tensors: ReadonlyMap<string, TensorEntry>,
): ModelWeights<{ readonly spec: WeightSpec; readonly entry: TensorEntry }> {
  const asked = new Set<string>();
  const table = mapWeights(weightTable(config), (spec) => {
    asked.add(spec.name);
    return { spec, entry: entryFor(spec, tensors) };
  });
  for (const name of tensors.keys()) {
    // Tied models may store a copy of the embedding, as RecurrentGemma-9B does; it is not read.
    const isTiedCopy = name === "lm_head.weight" && config.tiedEmbeddings;
    if (!asked.has(name) && !isTiedCopy)
      throw new CheckpointError("unexpected", `the checkpoint holds ${name}, which the config has no place for`, {
        tensor: name,
      });
  }
  return table;
}

function entryFor({ name, shape }: WeightSpec, tensors: ReadonlyMap<string, TensorEntry>): TensorEntry {
  const entry = tensors.get(name);
  if (!entry) throw new CheckpointError("missing", `${name} is missing from the checkpoint`, { tensor: name });
  if (entry.shape.join() !== shape.join())
    throw new CheckpointError(
      "shape",
      `${name} has shape ${entry.shape.join("×")}, the config asks for ${shape.join("×")}`,
      { tensor: name },
    );
  return entry;
}
