/** One file of a bundle into the cache: goes on where it stopped, and is not there until its sha256 is right. */

import { checkHash } from "../../shared/checkpoint/bundle-load.ts";
import type { BundledFile } from "../../shared/checkpoint/bundle-manifest.ts";
import type { Hasher } from "../../shared/checkpoint/hasher.ts";
import { AerieError } from "../../shared/errors.ts";
import { append, type CachedBundle } from "./bundle-cache.ts";
import { type BundleServer, interrupted, openTransfer, pieces } from "./bundle-server.ts";
import { sha256Hasher } from "./sha256.ts";

// Bytes read at a time to hash what came before.
const PIECE_BYTES = 2 ** 20;

export interface FileDownloadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Bytes of the file that are there: fewer than before where it has to be fetched anew. */
  readonly onProgress: (doneBytes: number) => void;
  /** Bytes that came over the network. */
  readonly onFetched: (bytes: number) => void;
}

/** Throws a `CheckpointError` if the server's bytes are not the manifest's even when fetched anew. */
export async function downloadFile(
  server: BundleServer,
  cached: CachedBundle,
  listed: BundledFile,
  options: FileDownloadOptions,
): Promise<void> {
  const handle = await cached.write(listed.file);
  try {
    if (handle.getSize() > listed.bytes) handle.truncate(0);
    let found = await complete(server, handle, listed, options);
    if (found !== listed.sha256) {
      // What came first was damaged since, or belongs to another version.
      handle.truncate(0);
      found = await complete(server, handle, listed, options);
    }
    if (found !== listed.sha256) handle.truncate(0);
    checkHash(listed, found);
  } finally {
    handle.close();
  }
}

/** Fetches what is missing and returns the sha256 of all. */
async function complete(
  server: BundleServer,
  handle: FileSystemSyncAccessHandle,
  { file, bytes, sha256 }: BundledFile,
  { signal, onProgress, onFetched }: FileDownloadOptions,
): Promise<string> {
  let at = handle.getSize();
  let hasher = hashed(handle, at);
  onProgress(at);
  if (at < bytes) {
    const { begin, body } = await openTransfer(server, file, at, sha256, signal);
    if (begin !== at) {
      handle.truncate(0);
      hasher = sha256Hasher();
      at = 0;
    }
    for await (const piece of pieces(file, body, signal)) {
      if (at + piece.length > bytes)
        throw new AerieError("bundle.server", `${file}: expected ${bytes} bytes, the server sends more`);
      append(handle, piece, at, bytes);
      hasher.update(piece);
      at += piece.length;
      onFetched(piece.length);
      onProgress(at);
    }
    if (at < bytes) throw interrupted(file);
  }
  handle.flush();
  return hasher.hex();
}

/** A hasher that has seen the first `length` bytes of a file. */
function hashed(handle: FileSystemSyncAccessHandle, length: number): Hasher {
  const hasher = sha256Hasher();
  const buffer = new Uint8Array(Math.min(length, PIECE_BYTES));
  for (let at = 0; at < length; ) {
    const read = handle.read(buffer.subarray(0, Math.min(buffer.length, length - at)), { at });
    if (read === 0) throw new AerieError("bundle.cache", "the browser's storage ended early: start again");
    hasher.update(buffer.subarray(0, read));
    at += read;
  }
  return hasher;
}
