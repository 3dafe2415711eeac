/** Makes a bundle's folder so that it is there whole or not at all: written beside its place, then renamed into it. */

import { createHash } from "node:crypto";
import { mkdtemp, open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { BundleSink } from "../shared/checkpoint/bundle-writer.ts";
import type { Hasher } from "../shared/checkpoint/hasher.ts";
import { AerieError } from "../shared/errors.ts";

export function sha256Hasher(): Hasher {
  const hash = createHash("sha256");
  return { update: (bytes) => hash.update(bytes), hex: () => hash.digest("hex") };
}

/** Runs `write` on a folder of its own and puts that in place of `path` once it is done; if it fails, nothing is left. */
export async function atomicFolder<Result>(
  path: string,
  write: (sink: BundleSink) => Promise<Result>,
): Promise<Result> {
  const target = resolve(path);
  if (await stat(target).catch(() => null))
    throw new AerieError("convert.out", `${path} is there already: choose another --out, or remove it first`);
  const parent = dirname(target);
  if (!(await stat(parent).catch(() => null))?.isDirectory())
    throw new AerieError("convert.out", `${path}: the folder ${parent} does not exist`);
  const partial = await mkdtemp(join(parent, `.${basename(target)}.partial-`));
  const cleanUp = () => rm(partial, { recursive: true, force: true });
  const onSignal = (signal: NodeJS.Signals) =>
    void cleanUp().finally(() => process.exit(signal === "SIGINT" ? 130 : 143));
  process.once("SIGINT", onSignal).once("SIGTERM", onSignal);
  try {
    const result = await write(fileSink(partial));
    await syncFolder(partial);
    await rename(partial, target);
    await syncFolder(parent);
    return result;
  } catch (error) {
    await cleanUp();
    throw error;
  } finally {
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  }
}

function fileSink(folder: string): BundleSink {
  return {
    async create(file) {
      const handle = await open(join(folder, file), "wx");
      return {
        async write(bytes) {
          for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at)).bytesWritten;
        },
        async close() {
          await handle.sync(); // a name must not outlive a crash that its bytes do not
          await handle.close();
        },
      };
    },
  };
}

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, "r");
  await handle.sync();
  await handle.close();
}
