/** From a bundle to a model that runs. Apart from `load-model.ts`, so that who loads only bundles does not carry the rest. */

import type { CreateBackend } from "./backend/backend.ts";
import { bundledWeights, type Manifest } from "./checkpoint/bundle-manifest.ts";
import { type LoadBundleOptions, loadBundle } from "./checkpoint/bundle-reader.ts";
import type { Folder } from "./checkpoint/byte-source.ts";
import { createModel, type Model } from "./engine.ts";
import { type RingDType, stateLayout } from "./model/state-layout.ts";

export interface LoadBundledOptions extends LoadBundleOptions {
  /** How states store attention keys and values. Default: what the bundle says. */
  readonly ring?: RingDType;
  /** Keys that a query sees: DeepMind's window + 1, or Hugging Face's window. Default: DeepMind's. */
  readonly window?: "deepmind" | "hf";
}

/** `manifest` is the folder's. The backend is made once the sizes of weights and state are known. */
export async function loadBundledModel(
  folder: Folder,
  manifest: Manifest,
  createBackend: CreateBackend,
  options: LoadBundledOptions,
): Promise<Model> {
  const windowKeys = options.window === "hf" ? manifest.config.windowSize : manifest.config.windowKeys;
  const config = { ...manifest.config, windowKeys };
  const ring = options.ring ?? manifest.ring;
  const backend = createBackend({ config, weights: bundledWeights(manifest), stateLayout: stateLayout(config, ring) });
  const weights = await loadBundle(folder, manifest, backend, options);
  return createModel(config, backend, weights, { ring });
}
