/**
 * Where a browser keeps bundles: its origin's private file system, a folder per address, in it one per version:
 *
 *     aerie-bundles/<sha256 of the address>/<digest>/weights-00000.bin …     as many bytes as have come so far
 *                                                    manifest.json            written last: the others are complete
 *
 * The browser may evict files at any time, the whole tree or, after a crash, the end of a file: sizes are looked at before
 * every use and hashes while reading. For dedicated workers: others have no handles that write in place.
 */

import { MANIFEST_FILE } from "../../shared/checkpoint/bundle-manifest.ts";
import { type ByteSource, bytesSource, type Folder } from "../../shared/checkpoint/byte-source.ts";
import { sha256 } from "../../shared/checkpoint/hasher.ts";
import { AerieError } from "../../shared/errors.ts";
import { sha256Hasher } from "./sha256.ts";

const ROOT = "aerie-bundles";

// A tab that was closed a moment ago may hold a file for a moment longer than its lock.
const HANDLE_TRIES = 40;
const HANDLE_RETRY_MS = 50;

export class BundleCache {
  readonly #versions: FileSystemDirectoryHandle;

  private constructor(versions: FileSystemDirectoryHandle) {
    this.#versions = versions;
  }

  static async open(url: string): Promise<BundleCache> {
    const root = await privateFiles();
    const bundles = await root.getDirectoryHandle(ROOT, { create: true });
    return new BundleCache(await bundles.getDirectoryHandle(cacheKey(url), { create: true }));
  }

  /** Digests of what lies here, complete or not. */
  async digests(): Promise<string[]> {
    const names: string[] = [];
    for await (const name of this.#versions.keys()) names.push(name);
    return names;
  }

  async version(digest: string): Promise<CachedBundle> {
    return new CachedBundle(await this.#versions.getDirectoryHandle(digest, { create: true }));
  }

  async remove(digest: string): Promise<void> {
    await this.#versions.removeEntry(digest, { recursive: true });
  }
}

/** The root of this origin's private files; a sentence where the browser has none for this page. */
async function privateFiles(): Promise<FileSystemDirectoryHandle> {
  try {
    if (!isSecureContext) throw new Error("the page was not opened by https or on localhost");
    return await navigator.storage.getDirectory();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new AerieError(
      "bundle.no-storage",
      `This browser keeps no files for this page (${reason}): open it by https, outside of a private window`,
      { cause },
    );
  }
}

/** The name of an address, for its folder and its lock. */
export const cacheKey = (url: string): string => sha256(sha256Hasher(), url);

/** One version of a bundle, complete or on its way. */
export class CachedBundle implements Folder {
  readonly #folder: FileSystemDirectoryHandle;

  constructor(folder: FileSystemDirectoryHandle) {
    this.#folder = folder;
  }

  async open(name: string): Promise<ByteSource | null> {
    const file = await this.#file(name);
    return (
      file && {
        name,
        size: file.size,
        read: async (offset, length) => new Uint8Array(await file.slice(offset, offset + length).arrayBuffer()),
      }
    );
  }

  /** Bytes of a file; null where it is not there. */
  async size(name: string): Promise<number | null> {
    return (await this.#file(name))?.size ?? null;
  }

  /** A file to be written in place, made if it is not there. Nobody else can have it open. */
  async write(name: string): Promise<FileSystemSyncAccessHandle> {
    const handle = await this.#folder.getFileHandle(name, { create: true });
    for (let tries = 1; ; tries++) {
      try {
        return await handle.createSyncAccessHandle();
      } catch (error) {
        if (nameOf(error) !== "NoModificationAllowedError" || tries === HANDLE_TRIES) throw error;
        await new Promise((resolve) => setTimeout(resolve, HANDLE_RETRY_MS));
      }
    }
  }

  /** From here on the bundle counts as complete. */
  async commit(manifest: Uint8Array): Promise<void> {
    const handle = await this.write(MANIFEST_FILE);
    try {
      handle.truncate(0);
      append(handle, manifest as Uint8Array<ArrayBuffer>, 0, manifest.length);
      handle.flush();
    } finally {
      handle.close();
    }
  }

  async remove(name: string): Promise<void> {
    await this.#folder.removeEntry(name).catch((error) => {
      if (nameOf(error) !== "NotFoundError") throw error;
    });
  }

  async #file(name: string): Promise<File | null> {
    try {
      return await (await this.#folder.getFileHandle(name)).getFile();
    } catch (error) {
      if (nameOf(error) === "NotFoundError") return null;
      throw error;
    }
  }
}

/** Writes a piece at `at` of a file that will have `totalBytes`. */
export function append(
  handle: FileSystemSyncAccessHandle,
  piece: Uint8Array<ArrayBuffer>,
  at: number,
  totalBytes: number,
): void {
  let written = 0;
  try {
    written = handle.write(piece, { at });
  } catch (cause) {
    if (!isNoRoom(cause)) throw cause;
  }
  if (written !== piece.length) throw noRoom(`${totalBytes - at} more bytes of this model`);
}

/** The browser's own error, which it may throw whenever something is made or written. */
export const isNoRoom = (error: unknown): boolean => nameOf(error) === "QuotaExceededError";

export const noRoom = (what: string, cause?: unknown): AerieError =>
  new AerieError(
    "bundle.quota",
    `The browser has no room for ${what}: free disk space, or remove sites' data (this site's too, if older models may go), and start again`,
    { cause },
  );

export const nameOf = (error: unknown): string | undefined => (error instanceof Error ? error.name : undefined);

/** A folder with nothing but a manifest in it. */
export const manifestFolder = (bytes: Uint8Array): Folder => ({
  open: async (name) => (name === MANIFEST_FILE ? bytesSource(name, bytes) : null),
});
