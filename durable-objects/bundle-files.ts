/** A model's bundle as files to hand out: what the manifest names, in ranges, streamed from where the isolate itself reads it. */

import type { BundleFile } from "../shared/api/services.ts";
import { MANIFEST_FILE, type Manifest } from "../shared/checkpoint/bundle-manifest.ts";
import { readManifest } from "../shared/checkpoint/bundle-reader.ts";
import type { CreateHasher } from "../shared/checkpoint/hasher.ts";
import { type BundleStore, readPieces } from "./model-store.ts";

/** null: the manifest names no such file. The manifest is read anew each time: a bundle in a bucket may be replaced. */
export async function openBundleFile(
  store: BundleStore,
  name: string,
  createHasher: CreateHasher,
): Promise<BundleFile | null> {
  const manifest = await readManifest(store, createHasher);
  if (!manifest) throw new Error(`there is no bundle: its ${MANIFEST_FILE} is missing`);
  const listed = name === MANIFEST_FILE ? await ownEntry(store, manifest) : entryOf(manifest, name);
  if (!listed) return null;
  return {
    bytes: listed.bytes,
    sha256: listed.sha256,
    async stream(offset, length) {
      const opened = await store.stream(name, offset);
      if (!opened) throw new Error(`${name} is missing from the bundle`);
      return cut(opened.body, offset - opened.begin, length);
    },
  };
}

const entryOf = ({ shards, files }: Manifest, name: string) => [...shards, ...files].find(({ file }) => file === name);

/** The manifest does not list itself. Its digest stands for its contents. */
async function ownEntry(store: BundleStore, { digest }: Manifest): Promise<{ bytes: number; sha256: string } | null> {
  const source = await store.open(MANIFEST_FILE);
  return source && { bytes: source.size, sha256: digest };
}

/** `length` bytes of `body` behind the first `skipped`; a stream of known length, so that the reply has a Content-Length. */
function cut(body: ReadableStream, skipped: number, length: number): ReadableStream<Uint8Array> {
  const { readable, writable } = new FixedLengthStream(length);
  const writer = writable.getWriter();
  const pump = async () => {
    let left = length;
    for await (const piece of readPieces(body, skipped)) {
      const own = piece.subarray(0, left);
      await writer.write(own); // until the client has it: the piece's buffer is reused
      left -= own.length;
      if (left === 0) break;
    }
    await writer.close(); // fails if the body ended early, and the reply breaks off
  };
  pump().catch((error) => writer.abort(error).catch(() => undefined)); // the client left, or the store failed
  return readable;
}
