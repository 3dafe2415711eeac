/** From a checkpoint's tensors to a backend's weights: everything is checked first, then read one tensor at a time. */

import type { Backend, Weight } from "../backend/backend.ts";
import type { PackedWeight } from "../backend/packed.ts";
import { CheckpointError } from "../errors.ts";
import type { ModelConfig } from "../model/config.ts";
import { type WeightSpec, weightTable } from "../model/weight-table.ts";
import { type ModelWeights, mapWeights, weightLeaves } from "../model/weight-tree.ts";
import { dtypeOf, f32Matrices, type MatrixDTypes } from "./matrix-dtypes.ts";
import { noPacker, type TilePacker } from "./pack.ts";
import { packTensor } from "./pack-tensor.ts";
import { preparedShape } from "./prepare.ts";
import { checkDType, type TensorEntry } from "./safetensors.ts";
import { shown } from "./strict-json.ts";

export interface LoadOptions {
  /** How matrices are packed, by role. Default: f32 all of them. */
  readonly dtypes?: MatrixDTypes;
  /** Quantises; needed for rg8 and rg4. */
  readonly packer?: TilePacker;
  /** Called after every tensor with bytes of the checkpoint; what it returns is awaited. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => unknown;
}

/** What a model's weights are packed to. */
export function packedWeights(config: ModelConfig, dtypes: MatrixDTypes = f32Matrices): PackedWeight[] {
  return weightLeaves(weightTable(config)).map(({ role, shape }) => ({
    role,
    shape: preparedShape(role, shape),
    dtype: dtypeOf(role, shape, dtypes),
  }));
}

export async function loadWeights(
  config: ModelConfig,
  tensors: ReadonlyMap<string, TensorEntry>,
  backend: Backend,
  options: LoadOptions = {},
): Promise<ModelWeights<Weight>> {
  const { dtypes = f32Matrices, packer = noPacker } = options;
  const table = matchTensors(config, tensors);
  const leaves = weightLeaves(table);
  const totalBytes = leaves.reduce((sum, { entry }) => sum + entry.bytes, 0);
  let doneBytes = 0;
  const loaded = new Map<string, Weight>();
  for (const { spec, entry } of leaves) {
    const dtype = dtypeOf(spec.role, spec.shape, dtypes);
    const writer = backend.weight(spec.role, preparedShape(spec.role, spec.shape), dtype);
    const report = (bytes: number) => options.onProgress?.(doneBytes + bytes, totalBytes);
    await packTensor(spec, entry, { dtype, packer, onProgress: report }, (bytes) => writer.write(bytes));
    loaded.set(spec.name, writer.finish());
    doneBytes += entry.bytes;
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
      throw new CheckpointError(
        "unexpected",
        `the checkpoint holds ${shown(name)}, which the config has no place for`,
        { tensor: name },
      );
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
  checkDType(entry);
  return entry;
}
