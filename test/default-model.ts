/** The model that wrangler.toml makes the default, and its bundle as `npm run build` packs it. */

import { readFileSync } from "node:fs";
import { type ModelEntry, parseCatalogue } from "../durable-objects/model-catalogue.ts";
import { MANIFEST_FILE, type Manifest } from "../shared/checkpoint/bundle-manifest.ts";

export interface DefaultModel {
  readonly entry: ModelEntry;
  readonly manifest: Manifest;
  /** A file of the bundle. */
  read(name: string): Uint8Array<ArrayBuffer>;
}

export function defaultModel(): DefaultModel {
  const settings = readFileSync(new URL("../wrangler.toml", import.meta.url), "utf8");
  const catalogue = parseCatalogue(/^AERIE_MODELS = '(.*)'$/m.exec(settings)?.[1]);
  const entry = catalogue.find(({ isDefault }) => isDefault) as ModelEntry;
  const folder = new URL(`../build/assets/${entry.path}/`, import.meta.url);
  const read = (name: string) => new Uint8Array(readFileSync(new URL(name, folder)));
  return { entry, manifest: JSON.parse(new TextDecoder().decode(read(MANIFEST_FILE))) as Manifest, read };
}
