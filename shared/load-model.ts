/** From a model's folder to a model that runs: a bundle, or a Hugging Face checkpoint. */

import type { CreateBackend } from "./backend/backend.ts";
import { openBundle } from "./checkpoint/bundle-reader.ts";
import type { Folder } from "./checkpoint/byte-source.ts";
import type { CreateHasher } from "./checkpoint/hasher.ts";
import { type HfCheckpointOptions, openHfCheckpoint } from "./checkpoint/hf-checkpoint.ts";
import { type LoadOptions, loadWeights, matchTensors, packedWeights } from "./checkpoint/load-weights.ts";
import { createModel, type Model } from "./engine.ts";
import { OptionError } from "./errors.ts";
import { loadBundledModel } from "./load-bundle.ts";
import { type RingDType, stateLayout } from "./model/state-layout.ts";

export interface LoadModelOptions extends HfCheckpointOptions, LoadOptions {
  /** How states store attention keys and values. Default: what a bundle says; f32 for a checkpoint. */
  readonly ring?: RingDType;
  /** For bundles, whose bytes are checked while they are read. */
  readonly createHasher?: CreateHasher;
}

/** The backend is made once the sizes of weights and state are known. */
export async function loadModel(
  folder: Folder,
  createBackend: CreateBackend,
  options: LoadModelOptions = {},
): Promise<Model> {
  const { createHasher } = options;
  const manifest = createHasher ? await openBundle(folder, createHasher) : null;
  if (!manifest || !createHasher) return loadCheckpoint(folder, createBackend, options);

  if (options.dtypes)
    throw new OptionError("weights", "weights: a bundle is packed already; convert the checkpoint it was made from");
  const { ring, window, onProgress } = options;
  return loadBundledModel(folder, manifest, createBackend, {
    createHasher,
    ...(ring && { ring }),
    ...(window && { window }),
    ...(onProgress && { onProgress }),
  });
}

async function loadCheckpoint(folder: Folder, createBackend: CreateBackend, options: LoadModelOptions): Promise<Model> {
  const { config, tensors } = await openHfCheckpoint(folder, options);
  matchTensors(config, tensors); // before any memory is laid out for it
  const backend = createBackend({
    config,
    weights: packedWeights(config, options.dtypes),
    stateLayout: stateLayout(config, options.ring),
  });
  const weights = await loadWeights(config, tensors, backend, options);
  return createModel(config, backend, weights, options);
}
