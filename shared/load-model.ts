/** From a model's folder to a model that runs, and the text side that belongs to it. */

import type { CreateBackend } from "./backend/backend.ts";
import type { Folder } from "./checkpoint/byte-source.ts";
import { type HfCheckpointOptions, openHfCheckpoint } from "./checkpoint/hf-checkpoint.ts";
import { type LoadOptions, loadWeights, matchTensors, weightBytes } from "./checkpoint/load-weights.ts";
import { createModel, type Model } from "./engine.ts";
import { type RingDType, stateLayout } from "./model/state-layout.ts";

export interface LoadModelOptions extends HfCheckpointOptions, LoadOptions {
  /** How the attention ring stores keys and values. Default f32. */
  readonly ring?: RingDType;
}

/** Loads a Hugging Face folder. The backend is made once the sizes of weights and state are known. */
export async function loadModel(
  folder: Folder,
  createBackend: CreateBackend,
  options: LoadModelOptions = {},
): Promise<Model> {
  const { config, tensors } = await openHfCheckpoint(folder, options);
  matchTensors(config, tensors); // before any memory is laid out for it
  const backend = createBackend({
    config,
    weightBytes: weightBytes(config, options.dtypes),
    stateLayout: stateLayout(config, options.ring),
  });
  const weights = await loadWeights(config, tensors, backend, options);
  return createModel(config, backend, weights, options);
}
