/** From a model's folder to a model that runs, and the text side that belongs to it. */

import type { Backend } from "./backend/backend.ts";
import type { Folder } from "./checkpoint/byte-source.ts";
import { type HfCheckpointOptions, openHfCheckpoint } from "./checkpoint/hf-checkpoint.ts";
import { type LoadOptions, loadWeights } from "./checkpoint/load-weights.ts";
import { createModel, type Model } from "./engine.ts";
import type { RingDType } from "./model/state-layout.ts";

export interface LoadModelOptions extends HfCheckpointOptions, LoadOptions {
  /** How the attention ring stores keys and values. Default f32. */
  readonly ring?: RingDType;
}

/** Loads a Hugging Face folder into a backend. */
export async function loadModel(folder: Folder, backend: Backend, options: LoadModelOptions = {}): Promise<Model> {
  const { config, tensors } = await openHfCheckpoint(folder, options);
  const weights = await loadWeights(config, tensors, backend, options);
  return createModel(config, backend, weights, options);
}
