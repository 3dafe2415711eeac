/** The model that the runtime serves to requests that name none: which one it is, and what its bundle says of it. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { openTextSide } from "../../cli/model-argument.ts";
import { parseCatalogue } from "../../durable-objects/model-catalogue.ts";
import type { Manifest } from "../../shared/checkpoint/bundle-manifest.ts";
import type { LoadedModel } from "../../shared/conversation/model-source.ts";
import { stateLayout } from "../../shared/model/state-layout.ts";

const root = new URL("../../", import.meta.url);

const [, models] = /^AERIE_MODELS = '(.*)'$/m.exec(readFileSync(new URL("wrangler.toml", root), "utf8")) ?? [];
const catalogue = parseCatalogue(models);

export const defaultModel = catalogue.find(({ isDefault }) => isDefault) ?? catalogue[0];

/** Where `npm run build` puts its bundle. */
export const defaultFolder = fileURLToPath(new URL(`build/assets/${defaultModel.path}`, root));

export const defaultManifest = JSON.parse(readFileSync(`${defaultFolder}/manifest.json`, "utf8")) as Manifest;

/** A `logit_bias` that bans them: replies are then as long as they may be. */
export const ENDLESS: Readonly<Record<string, number>> = Object.fromEntries(
  defaultManifest.config.eosIds.map((id) => [id, -100]),
);

/** All of it but its weights: enough to read a conversation's database with. */
export async function unweightedModel(): Promise<LoadedModel> {
  const { config, ring, digest } = defaultManifest;
  const model = { config, stateLayout: stateLayout(config, ring) } as LoadedModel["model"];
  return { id: defaultModel.id, digest, model, ...(await openTextSide(defaultFolder)) };
}
