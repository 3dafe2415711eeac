/** A bundle in the browser, ready to be read: fetched or completed if need be, one tab at a time, repaired once if damaged. */

import type { Manifest } from "../../shared/checkpoint/bundle-manifest.ts";
import type { Folder } from "../../shared/checkpoint/byte-source.ts";
import { CheckpointError } from "../../shared/errors.ts";
import { BundleCache, cacheKey } from "./bundle-cache.ts";
import type { BundleServer } from "./bundle-server.ts";
import { downloadBundle, removeDamaged } from "./download-bundle.ts";
import type { BundleProgress } from "./progress.ts";

export interface LocalBundleOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: BundleProgress) => void) | undefined;
}

/**
 * Runs `use` on a complete bundle; nothing changes it meanwhile. If `use` throws a `CheckpointError`, every file is checked,
 * and where some are damaged they are fetched again and `use` runs once more.
 *
 * Errors have a code `bundle.…` and a sentence that says what to do. Cancelling keeps what has come.
 */
export async function withLocalBundle<Result>(
  server: BundleServer,
  use: (folder: Folder, manifest: Manifest) => Promise<Result>,
  { signal, onProgress }: LocalBundleOptions = {},
): Promise<Result> {
  const cache = await BundleCache.open(server.url);
  const lock = `aerie-bundle ${cacheKey(server.url)}`;
  const download = () =>
    locked(lock, "exclusive", signal, onProgress, () => downloadBundle(server, cache, { signal, onProgress }));

  for (let isRepaired = false; ; isRepaired = true) {
    const { manifest, folder, stale } = await download();
    onProgress?.({ kind: "ready", stale });
    try {
      return await locked(lock, "shared", signal, onProgress, () => use(folder, manifest));
    } catch (error) {
      if (!(error instanceof CheckpointError) || isRepaired) throw error;
      const files = await locked(lock, "exclusive", signal, onProgress, () => removeDamaged(folder, manifest));
      if (files.length === 0) throw error; // the bundle is as it was made
      onProgress?.({ kind: "damaged", files });
    }
  }
}

/** Tabs of one origin share its files: one changes them, or any number read them. A tab that dies gives its lock back. */
async function locked<Result>(
  name: string,
  mode: LockMode,
  signal: AbortSignal | undefined,
  onProgress: LocalBundleOptions["onProgress"],
  body: () => Promise<Result>,
): Promise<Result> {
  const free = await navigator.locks.request(name, { mode, ifAvailable: true }, async (lock) =>
    lock ? { result: await body() } : null,
  );
  if (free) return free.result;
  onProgress?.({ kind: "waiting" });
  return navigator.locks.request(name, { mode, ...(signal && { signal }) }, body) as Promise<Result>;
}
