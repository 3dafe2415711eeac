/** Where an isolate reads bundles from: Static Assets or R2. */

import { type ByteSource, bytesSource, type Folder } from "../shared/checkpoint/byte-source.ts";
import { AerieError } from "../shared/errors.ts";
import type { ModelEntry } from "./model-catalogue.ts";

/** A bundle's folder whose shards can be streamed. Failures of the transfer are not `AerieError`s: they may pass. */
export interface BundleStore extends Folder {
  /** A file's bytes, from `begin` on: at most `offset`. null: there is no such file. */
  stream(file: string, offset: number): Promise<{ readonly body: ReadableStream; readonly begin: number } | null>;
}

export interface StoreBindings {
  readonly ASSETS: Pick<Fetcher, "fetch">;
  readonly MODELS?: Pick<R2Bucket, "get" | "head">;
}

export function openStore({ ASSETS, MODELS }: StoreBindings, { id, source, path }: ModelEntry): BundleStore {
  switch (source) {
    case "assets":
      return assetStore(ASSETS, path);
    case "r2":
      if (!MODELS)
        throw new AerieError("models", `the model ${id} lies in R2: bind a bucket as MODELS in wrangler.toml`);
      return bucketStore(MODELS, path);
    default:
      throw source satisfies never;
  }
}

/** Neither sizes nor ranges can be asked for: `HEAD` has no length and `Range` is answered with the whole file. */
function assetStore(assets: StoreBindings["ASSETS"], path: string): BundleStore {
  async function get(file: string): Promise<Response | null> {
    const response = await assets.fetch(`https://assets.local/${path}/${file}`);
    if (response.ok) return response;
    await response.body?.cancel();
    if (response.status === 404) return null;
    throw new Error(`${file}: the assets answered with status ${response.status}`);
  }
  return {
    async open(name) {
      const response = await get(name);
      return response && bytesSource(name, new Uint8Array(await response.arrayBuffer())); // an asset has up to 25 MiB
    },
    async stream(file) {
      const body = (await get(file))?.body;
      return body ? { body, begin: 0 } : null;
    },
  };
}

function bucketStore(bucket: NonNullable<StoreBindings["MODELS"]>, path: string): BundleStore {
  return {
    async open(name): Promise<ByteSource | null> {
      const key = `${path}/${name}`;
      const head = await bucket.head(key);
      if (!head) return null;
      return {
        name,
        size: head.size,
        async read(offset, length) {
          if (length === 0) return new Uint8Array(); // R2 has no empty ranges
          const object = await bucket.get(key, { range: { offset, length } });
          return object ? new Uint8Array(await object.arrayBuffer()) : new Uint8Array();
        },
      };
    },
    async stream(file, offset) {
      const object = await bucket.get(`${path}/${file}`, { range: { offset } });
      return object && { body: object.body, begin: offset };
    },
  };
}

// Bytes read at a time. Reads of 1 MiB take 1 ms per MB with the copy; the default reader's of 4 kB take ten times that.
const PIECE_BYTES = 2 ** 20;

/** The bytes of a stream but the first `skipped`, in pieces that are valid until the next one is asked for. */
export async function* readPieces(body: ReadableStream, skipped: number): AsyncGenerator<Uint8Array> {
  const reader = body.getReader({ mode: "byob" });
  let toSkip = skipped;
  let buffer = new ArrayBuffer(PIECE_BYTES); // one for all reads: it goes there and back
  try {
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(buffer));
      if (done || !value) return;
      buffer = value.buffer as ArrayBuffer;
      const own = value.subarray(toSkip);
      toSkip -= value.length - own.length;
      if (own.length > 0) yield own;
    }
  } finally {
    reader.cancel().catch(() => undefined); // left early: nobody waits for the rest
  }
}
