/**
 * A bundle into the cache, whole: its manifest from the server, the files that are missing, and only then the manifest. A version
 * that is complete here is not lost to a newer one that can't be had.
 */

import { MANIFEST_FILE, type Manifest } from "../../shared/checkpoint/bundle-manifest.ts";
import { readManifest } from "../../shared/checkpoint/bundle-reader.ts";
import { readExactly } from "../../shared/checkpoint/byte-source.ts";
import { AerieError, CheckpointError } from "../../shared/errors.ts";
import { type BundleCache, type CachedBundle, isNoRoom, manifestFolder, noRoom } from "./bundle-cache.ts";
import { type BundleServer, openTransfer, pieces } from "./bundle-server.ts";
import { downloadFile } from "./download-file.ts";
import type { BundleProgress, Stale } from "./progress.ts";
import { sha256Hasher } from "./sha256.ts";

export interface DownloadOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: BundleProgress) => void) | undefined;
}

export interface DownloadedBundle extends StoredBundle {
  /** null: it is the server's newest version. */
  readonly stale: Stale | null;
}

interface StoredBundle {
  readonly manifest: Manifest;
  readonly folder: CachedBundle;
}

/** The server's newest version; where that can't be had, the one that is complete here. Nobody else may change the cache meanwhile. */
export async function downloadBundle(
  server: BundleServer,
  cache: BundleCache,
  options: DownloadOptions,
): Promise<DownloadedBundle> {
  let newest: string | null = null;
  try {
    const bytes = await fetchManifest(server, options.signal);
    const manifest = await readManifest(manifestFolder(bytes), sha256Hasher);
    if (!manifest) throw new CheckpointError("unreadable", `${MANIFEST_FILE} is missing from the bundle`);
    newest = manifest.digest;
    return { manifest, folder: await complete(server, cache, manifest, bytes, options), stale: null };
  } catch (thrown) {
    const error = isNoRoom(thrown) ? noRoom("this model", thrown) : thrown;
    const stored = isOutOfReach(error) ? await storedVersion(cache) : null;
    if (!stored) throw error;
    return { ...stored, stale: { reason: (error as AerieError).message, newest } };
  }
}

/**
 * The newest version can't be had now. A refusal is another matter: who may not have the model any more is told so. So is what
 * nobody foresaw, and a cancel.
 */
const isOutOfReach = (error: unknown): boolean =>
  error instanceof AerieError &&
  !["bundle.unauthorized", "bundle.forbidden", "bundle.unknown-model"].includes(error.code);

/** Fetches what is missing. Until all of it is there the version before stays, and after that no other one does. */
async function complete(
  server: BundleServer,
  cache: BundleCache,
  manifest: Manifest,
  manifestBytes: Uint8Array,
  options: DownloadOptions,
): Promise<CachedBundle> {
  const folder = await cache.version(manifest.digest);
  const missing = await missingFiles(folder, manifest);
  const wasComplete = (await ownManifest(folder)) !== null;
  if (missing.length > 0) {
    if (wasComplete) options.onProgress?.({ kind: "evicted", files: missing.map(({ file }) => file) });
    await folder.remove(MANIFEST_FILE); // not complete again until all is back
    // Halves of other versions are of no use any more, and this one may need their room.
    for (const digest of await cache.digests())
      if (digest !== manifest.digest && !(await completeManifest(await cache.version(digest))))
        await cache.remove(digest);
    await fetchFiles(server, folder, manifest, missing, options);
  }
  if (missing.length > 0 || !wasComplete) await folder.commit(manifestBytes);
  for (const digest of await cache.digests()) if (digest !== manifest.digest) await cache.remove(digest);
  return folder;
}

const MAX_MANIFEST_BYTES = 4 * 2 ** 20; // as `readManifest` allows

async function fetchManifest(server: BundleServer, signal: AbortSignal | undefined): Promise<Uint8Array> {
  const { body } = await openTransfer(server, MANIFEST_FILE, 0, null, signal);
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for await (const piece of pieces(MANIFEST_FILE, body, signal)) {
    length += piece.length;
    if (length > MAX_MANIFEST_BYTES)
      throw new CheckpointError("bytes", `${MANIFEST_FILE} has more than ${MAX_MANIFEST_BYTES} bytes`);
    parts.push(piece);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** A version that was completed here, if all of it is still here. */
async function storedVersion(cache: BundleCache): Promise<StoredBundle | null> {
  for (const digest of await cache.digests()) {
    const folder = await cache.version(digest);
    const manifest = await completeManifest(folder);
    if (manifest) return { manifest, folder };
  }
  return null;
}

/** null unless all that it names is here. */
async function completeManifest(folder: CachedBundle): Promise<Manifest | null> {
  const manifest = await ownManifest(folder);
  return manifest && (await missingFiles(folder, manifest)).length === 0 ? manifest : null;
}

/** null where there is none, or half of one: a crash may have cut it off. */
async function ownManifest(folder: CachedBundle): Promise<Manifest | null> {
  try {
    return await readManifest(folder, sha256Hasher);
  } catch (error) {
    if (error instanceof AerieError) return null;
    throw error;
  }
}

const allFiles = ({ files, shards }: Manifest) => [...files, ...shards];

async function missingFiles(folder: CachedBundle, manifest: Manifest) {
  const sizes = await Promise.all(allFiles(manifest).map(({ file }) => folder.size(file)));
  return allFiles(manifest).filter(({ bytes }, at) => sizes[at] !== bytes);
}

async function fetchFiles(
  server: BundleServer,
  folder: CachedBundle,
  manifest: Manifest,
  missing: Awaited<ReturnType<typeof missingFiles>>,
  { signal, onProgress }: DownloadOptions,
): Promise<void> {
  const sum = (files: typeof missing) => files.reduce((bytes, file) => bytes + file.bytes, 0);
  const totalBytes = sum(allFiles(manifest));
  let doneBytes = totalBytes - sum(missing);
  let fetchedBytes = 0;
  for (const file of missing) {
    await downloadFile(server, folder, file, {
      signal,
      onFetched: (bytes) => {
        fetchedBytes += bytes;
      },
      onProgress: (bytes) => onProgress?.({ kind: "download", doneBytes: doneBytes + bytes, totalBytes, fetchedBytes }),
    });
    doneBytes += file.bytes;
  }
}

/** Files that are not what the manifest says are removed; returns their names. For a bundle that could not be loaded. */
export async function removeDamaged(folder: CachedBundle, manifest: Manifest): Promise<string[]> {
  const damaged: string[] = [];
  for (const { file, bytes, sha256 } of allFiles(manifest)) {
    if ((await hashOf(folder, file, bytes)) === sha256) continue;
    await folder.remove(file);
    damaged.push(file);
  }
  return damaged;
}

const PIECE_BYTES = 2 ** 20;

/** null where the file is missing or has another size. */
async function hashOf(folder: CachedBundle, name: string, bytes: number): Promise<string | null> {
  const source = await folder.open(name);
  if (source?.size !== bytes) return null;
  const hasher = sha256Hasher();
  for (let at = 0; at < bytes; at += PIECE_BYTES)
    hasher.update(await readExactly(source, at, Math.min(PIECE_BYTES, bytes - at)));
  return hasher.hex();
}
