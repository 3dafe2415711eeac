/** Bundles of a size that a test chooses. Their weights are numbers without a meaning: nothing is said with them. */

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import {
  digestedText,
  layOut,
  type Manifest,
  SHARD_BYTES,
  shardFile,
  streamBytes,
} from "../../shared/checkpoint/bundle-manifest.ts";
import { parseHfConfig } from "../../shared/model/hf-config.ts";
import type { Runtime } from "../e2e/runtime.ts";
import { smallHfConfig } from "../model/random-model.ts";

export interface MadeBundle {
  /** Of the embedding, which is nearly all there is. */
  readonly vocabSize: number;
  readonly width: number;
  /** The first weight; each one after it is one more. */
  readonly first: number;
}

/** 27 MB in f32, where a shard takes 25: what is said of one shard and not of the other shows with no fewer. */
export const twoShards: MadeBundle = { vocabSize: 53_248, width: 128, first: 0 };

const sha256 = (bytes: Uint8Array | string) => createHash("sha256").update(bytes).digest("hex");

/** Puts it into the runtime's bucket, below `path`. */
export async function putBundle(
  runtime: Runtime,
  path: string,
  { vocabSize, width, first }: MadeBundle,
): Promise<Manifest> {
  const config = parseHfConfig({ ...smallHfConfig, vocab_size: vocabSize, hidden_size: width });
  const tensors = layOut(config, () => "f32");
  const weights = new Float32Array(streamBytes(tensors) / 4).map((_, at) => first + at);
  const stream = new Uint8Array(weights.buffer);
  const models = new URL("../../models/", import.meta.url);
  const tokenizer = new Uint8Array(readFileSync(new URL(`${readdirSync(models)[0]}/tokenizer.json`, models))); // any will do
  const contents = new Map([["tokenizer.json", tokenizer]]);
  for (let at = 0; at < stream.length; at += SHARD_BYTES)
    contents.set(shardFile(at / SHARD_BYTES), stream.subarray(at, at + SHARD_BYTES));
  const listed = [...contents].map(([file, bytes]) => ({ file, bytes: bytes.length, sha256: sha256(bytes) }));
  const unsigned = {
    format: "aerie-bundle",
    version: 1,
    config,
    ring: "f16",
    license: null,
    tensors,
    shards: listed.slice(1),
    files: listed.slice(0, 1),
  } as const;
  const manifest: Manifest = { ...unsigned, digest: sha256(digestedText(unsigned)) };
  contents.set("manifest.json", new TextEncoder().encode(JSON.stringify(manifest)));
  for (const [file, bytes] of contents) await runtime.putModelFile(`${path}/${file}`, bytes);
  return manifest;
}
