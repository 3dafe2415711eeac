/** The model that wrangler.toml makes the default, and its bundle as `npm run build` packs it. */

import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { unstable_readConfig } from "wrangler";
import { type ModelEntry, parseCatalogue } from "../durable-objects/model-catalogue.ts";
import { MANIFEST_FILE, type Manifest } from "../shared/checkpoint/bundle-manifest.ts";
import { bytesSource, type Folder } from "../shared/checkpoint/byte-source.ts";

export interface DefaultModel {
  readonly entry: ModelEntry;
  readonly manifest: Manifest;
  /** The bundle. */
  readonly folder: Folder;
  /** A file of it. */
  read(name: string): Uint8Array<ArrayBuffer>;
}

export function defaultModel(): DefaultModel {
  const { vars } = unstable_readConfig({ config: fileURLToPath(new URL("../wrangler.toml", import.meta.url)) });
  const catalogue = parseCatalogue(String(vars.AERIE_MODELS));
  const entry = catalogue.find(({ isDefault }) => isDefault) as ModelEntry;
  const folder = new URL(`../build/assets/${entry.path}/`, import.meta.url);
  const read = (name: string) => new Uint8Array(readFileSync(new URL(name, folder)));
  const bundle: Folder = {
    open: async (name) => (existsSync(new URL(name, folder)) ? bytesSource(name, read(name)) : null),
  };
  return {
    entry,
    folder: bundle,
    manifest: JSON.parse(new TextDecoder().decode(read(MANIFEST_FILE))) as Manifest,
    read,
  };
}
