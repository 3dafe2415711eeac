/** Reads a bundle (FORMAT.md) from a folder: its bytes go into the backend as they are, checked on the way. */

import type { Backend, Weight } from "../backend/backend.ts";
import { CheckpointError } from "../errors.ts";
import type { ModelWeights } from "../model/weight-tree.ts";
import { BundleLoad, checkHash, ShardStream } from "./bundle-load.ts";
import { type BundledFile, digestedText, MANIFEST_FILE, type Manifest, parseManifest } from "./bundle-manifest.ts";
import { type ByteSource, bytesSource, type Folder, readExactly, readText } from "./byte-source.ts";
import { type CreateHasher, sha256 } from "./hasher.ts";
import { parseStrictJson } from "./strict-json.ts";

const MAX_MANIFEST_BYTES = 4 * 2 ** 20; // RecurrentGemma-9B's has 0.2 MB

// Bytes read at a time.
const PIECE_BYTES = 2 ** 20;

/** null where the folder is no bundle. Throws where it is a bad one. */
export async function openBundle(folder: Folder, createHasher: CreateHasher): Promise<Manifest | null> {
  const manifest = await readManifest(folder, createHasher);
  // Sizes are a claim until the files show them; before any memory is laid out.
  if (manifest) for (const file of [...manifest.files, ...manifest.shards]) await openListed(folder, file);
  return manifest;
}

/** The manifest alone, for hosts that can't ask for a file's size without fetching it. null where there is none. */
export async function readManifest(folder: Folder, createHasher: CreateHasher): Promise<Manifest | null> {
  const source = await folder.open(MANIFEST_FILE);
  if (!source) return null;
  const manifest = parseManifest(parseStrictJson(await readText(source, MAX_MANIFEST_BYTES), MANIFEST_FILE));
  const digest = sha256(createHasher(), digestedText(manifest));
  if (digest !== manifest.digest)
    throw new CheckpointError(
      "value",
      `${MANIFEST_FILE}: the digest is ${manifest.digest}, its contents have ${digest}: it was changed`,
    );
  return manifest;
}

/** The files that go along with a bundle's weights, each read as a whole and with the sha256 that the manifest says. */
export function companionFiles(folder: Folder, manifest: Manifest, createHasher: CreateHasher): Folder {
  return {
    async open(name) {
      const listed = manifest.files.find(({ file }) => file === name);
      if (!listed) return null;
      const source = await openListed(folder, listed);
      const bytes = await readExactly(source, 0, source.size);
      checkHash(listed, sha256(createHasher(), bytes));
      return bytesSource(name, bytes);
    },
  };
}

export interface LoadBundleOptions {
  readonly createHasher: CreateHasher;
  readonly onProgress?: (doneBytes: number, totalBytes: number) => unknown;
}

/** Streams all shards into the backend. */
export async function loadBundle(
  folder: Folder,
  manifest: Manifest,
  backend: Backend,
  { createHasher, onProgress }: LoadBundleOptions,
): Promise<ModelWeights<Weight>> {
  const load = new BundleLoad(manifest, backend, createHasher);
  await readShards(folder, load, onProgress);
  return load.finish();
}

/** Reads everything and keeps nothing: whether a bundle is whole. */
export async function verifyBundle(
  folder: Folder,
  manifest: Manifest,
  { createHasher, onProgress }: LoadBundleOptions,
): Promise<void> {
  for (const file of manifest.files) {
    const source = await openListed(folder, file);
    checkHash(file, await hashOf(source, createHasher));
  }
  await readShards(folder, new ShardStream(manifest, createHasher), onProgress);
}

/** Reads to the end of the stream, from wherever it stands. */
async function readShards(
  folder: Folder,
  stream: BundleLoad | ShardStream,
  onProgress?: LoadBundleOptions["onProgress"],
): Promise<void> {
  for (let next = stream.next; next; next = stream.next) {
    const { shard, at: start } = next;
    const source = await openListed(folder, shard);
    for (let at = start; at < shard.bytes; at += PIECE_BYTES) {
      stream.accept(await readExactly(source, at, Math.min(PIECE_BYTES, shard.bytes - at)));
      await onProgress?.(stream.offset, stream.totalBytes);
    }
  }
}

async function openListed(folder: Folder, { file, bytes }: BundledFile): Promise<ByteSource> {
  const source = await folder.open(file);
  if (!source) throw new CheckpointError("unreadable", `${file} is missing from the bundle`);
  if (source.size !== bytes)
    throw new CheckpointError("bytes", `${file} has ${source.size} bytes, ${MANIFEST_FILE} says ${bytes}`);
  return source;
}

async function hashOf(source: ByteSource, createHasher: CreateHasher): Promise<string> {
  const hasher = createHasher();
  for (let at = 0; at < source.size; at += PIECE_BYTES)
    hasher.update(await readExactly(source, at, Math.min(PIECE_BYTES, source.size - at)));
  return hasher.hex();
}
