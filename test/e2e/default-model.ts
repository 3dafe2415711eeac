/** The model that the runtime serves to requests that name none: which one it is, and what its bundle says of it. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseCatalogue } from "../../durable-objects/model-catalogue.ts";

const root = new URL("../../", import.meta.url);

const [, models] = /^AERIE_MODELS = '(.*)'$/m.exec(readFileSync(new URL("wrangler.toml", root), "utf8")) ?? [];
const catalogue = parseCatalogue(models);

export const defaultModel = catalogue.find(({ isDefault }) => isDefault) ?? catalogue[0];

/** Where `npm run build` puts its bundle. */
export const defaultFolder = fileURLToPath(new URL(`build/assets/${defaultModel.path}`, root));

const { config } = JSON.parse(readFileSync(`${defaultFolder}/manifest.json`, "utf8")) as {
  config: { eosIds: number[] };
};

/** Ids that end a reply. */
export const endIds: readonly number[] = config.eosIds;

/** A `logit_bias` that bans them: replies are then as long as they may be. */
export const ENDLESS: Readonly<Record<string, number>> = Object.fromEntries(endIds.map((id) => [id, -100]));
