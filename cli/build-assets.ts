/** Packs the default model into build/assets, which is deployed along with the Worker. The last step of `npm run build`. */

import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { MANIFEST_FILE } from "../shared/checkpoint/bundle-manifest.ts";
import { packModel } from "./commands/convert.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const model = join(root, "models/fledgling-4m");
const bundle = join(root, "build/assets/models/fledgling-4m");
const fresh = join(root, "build/fledgling-4m.new"); // nothing half done may lie in the assets

// The bundle's bytes follow from the model and from the code that packs it.
const inputs = [model, join(root, "shared"), join(root, "cli/commands/convert.ts")];

const packedMs = await modifiedMs(join(bundle, MANIFEST_FILE));
const changedMs = Math.max(...(await Promise.all(inputs.map(newestMs))));
if (packedMs <= changedMs) {
  await rm(fresh, { recursive: true, force: true });
  await mkdir(dirname(bundle), { recursive: true });
  // 8 bits: nobody needs so small a model smaller, and it predicts as the checkpoint does.
  await packModel(model, { out: fresh, weights: "rg8", ring: "f16", window: "deepmind" });
  await rm(bundle, { recursive: true, force: true });
  await rename(fresh, bundle);
}

/** When a file, or the newest in a folder, was last changed. */
async function newestMs(path: string): Promise<number> {
  if (!(await stat(path)).isDirectory()) return modifiedMs(path);
  const entries = await readdir(path, { recursive: true });
  return Math.max(...(await Promise.all(entries.map((entry) => modifiedMs(join(path, entry))))));
}

/** 0 where there is no such file. */
async function modifiedMs(path: string): Promise<number> {
  return (await stat(path).catch(() => null))?.mtimeMs ?? 0;
}
