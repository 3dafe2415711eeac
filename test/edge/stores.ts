/** Stores that are slow, hang, break off or lie, on top of the real ones. */

import { env } from "cloudflare:workers";
import { createHash } from "node:crypto";
import { parseCatalogue } from "../../durable-objects/model-catalogue.ts";
import { ModelHost, type ModelHostOptions } from "../../durable-objects/model-host.ts";
import { type BundleStore, openStore, readPieces } from "../../durable-objects/model-store.ts";
import type { Hasher } from "../../shared/checkpoint/hasher.ts";

export const BUNDLE = "models/fledgling-4m"; // made by `npm run build`

export const entryOf = (id: string, source: "assets" | "r2") =>
  parseCatalogue(JSON.stringify([{ id, source, path: BUNDLE }]))[0];

export const assets = (): BundleStore => openStore(env, entryOf("small", "assets"));
export const bucket = (): BundleStore => openStore(env, entryOf("small", "r2"));

/** The same files in R2. */
export async function fillBucket(): Promise<void> {
  const manifest = await (await env.ASSETS.fetch(`https://assets.local/${BUNDLE}/manifest.json`)).text();
  const { files, shards } = JSON.parse(manifest) as Record<"files" | "shards", { file: string }[]>;
  await env.MODELS.put(`${BUNDLE}/manifest.json`, manifest);
  for (const { file } of [...files, ...shards]) {
    const response = await env.ASSETS.fetch(`https://assets.local/${BUNDLE}/${file}`);
    await env.MODELS.put(`${BUNDLE}/${file}`, await response.arrayBuffer());
  }
}

export interface Watched {
  /** Streams that were asked for, by their offset. */
  readonly streams: number[];
  /** Bytes that they delivered. */
  bytes: number;
}

export type Disturb = (
  bytes: Uint8Array,
  deliveredBytes: number,
  stream: number,
) => Promise<Uint8Array | "end"> | Uint8Array;

// Small pieces, so that a load of 2 MB has many moments at which something can happen.
const PIECE_BYTES = 65_536;

/** A store whose shards pass through `disturb`, piece by piece. */
export function disturbed(open: () => BundleStore, disturb: Disturb = (bytes) => bytes) {
  const watched: Watched = { streams: [], bytes: 0 };
  const store = (): BundleStore => {
    const base = open();
    return {
      open: base.open,
      async stream(file, offset) {
        const stream = await base.stream(file, offset);
        if (!stream) return null;
        const number = watched.streams.push(offset) - 1;
        const pieces = smallPieces(stream.body);
        let delivered = stream.begin;
        const body = new ReadableStream({
          type: "bytes",
          async pull(controller) {
            const { done, value } = await pieces.next();
            const bytes = done ? "end" : await disturb(value, delivered, number);
            if (bytes === "end") {
              controller.close();
              controller.byobRequest?.respond(0);
              return;
            }
            delivered += bytes.length;
            watched.bytes += bytes.length;
            controller.enqueue(bytes);
          },
        });
        return { body, begin: stream.begin };
      },
    };
  };
  return { store, watched };
}

async function* smallPieces(body: ReadableStream): AsyncGenerator<Uint8Array> {
  for await (const bytes of readPieces(body, 0)) {
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.slice(at, at + PIECE_BYTES);
  }
}

export function hostOf(store: () => BundleStore, options: Partial<ModelHostOptions> = {}): ModelHost {
  return new ModelHost({ models: [entryOf("small", "assets")], openStore: store, ...options });
}

export function sha256Hasher(): Hasher {
  const hash = createHash("sha256");
  return { update: (bytes) => hash.update(bytes), hex: () => hash.digest("hex") };
}

/** What a promise was rejected with; null where it was not. */
export const failure = (promise: Promise<unknown>): Promise<Error | null> =>
  promise.then(
    () => null,
    (error: unknown) => error as Error,
  );
