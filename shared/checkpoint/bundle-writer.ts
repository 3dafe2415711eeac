/** Writes a bundle (FORMAT.md) from a checkpoint: one pass over its tensors, a stripe of rows in memory at a time. */

import { alignedBytes } from "../backend/packed.ts";
import type { RingDType } from "../model/state-layout.ts";
import { weightLeaves } from "../model/weight-tree.ts";
import {
  type BundledFile,
  digestedText,
  layOut,
  MANIFEST_FILE,
  type Manifest,
  SHARD_BYTES,
  shardFile,
} from "./bundle-manifest.ts";
import { type CreateHasher, type Hasher, sha256 } from "./hasher.ts";
import type { HfCheckpoint } from "./hf-checkpoint.ts";
import { matchTensors } from "./load-weights.ts";
import { dtypeOf, type MatrixDTypes } from "./matrix-dtypes.ts";
import type { TilePacker } from "./pack.ts";
import { packTensor } from "./pack-tensor.ts";

/** Where a bundle's files go. What has been written counts for nothing until `commit`. */
export interface BundleSink {
  create(file: string): Promise<FileSink>;
}

export interface FileSink {
  /** `bytes` may be reused once the promise settles. */
  write(bytes: Uint8Array): Promise<unknown>;
  close(): Promise<void>;
}

export interface BundleOptions {
  readonly dtypes: MatrixDTypes;
  readonly ring: RingDType;
  readonly license: string | null;
  readonly packer: TilePacker;
  readonly createHasher: CreateHasher;
  /** Files that go along unchanged: tokenizer and template. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** Bytes of the checkpoint that are done, of all. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => unknown;
}

/** The same checkpoint and options give the same bytes, on every machine. */
export async function writeBundle(
  checkpoint: HfCheckpoint,
  sink: BundleSink,
  options: BundleOptions,
): Promise<Manifest> {
  const { dtypes, ring, license, packer, createHasher } = options;
  const { config } = checkpoint;
  const leaves = weightLeaves(matchTensors(config, checkpoint.tensors));
  const tensors = layOut(config, ({ role, shape }) => dtypeOf(role, shape, dtypes));
  const totalBytes = leaves.reduce((sum, { entry }) => sum + entry.bytes, 0);

  const files: BundledFile[] = [];
  for (const [file, bytes] of options.files) files.push(await writeFile(sink, file, bytes, createHasher()));

  const shards = new ShardWriter(sink, createHasher);
  let doneBytes = 0;
  for (const [at, { spec, entry }] of leaves.entries()) {
    const { dtype, bytes } = tensors[at];
    const report = (part: number) => options.onProgress?.(doneBytes + part, totalBytes);
    await packTensor(spec, entry, { dtype, packer, onProgress: report }, (piece) => shards.write(piece));
    await shards.write(new Uint8Array(alignedBytes(bytes) - bytes));
    doneBytes += entry.bytes;
  }
  const unsigned = {
    format: "aerie-bundle",
    version: 1,
    config,
    ring,
    license,
    tensors,
    shards: await shards.finish(),
    files,
  } as const;
  const manifest: Manifest = { ...unsigned, digest: sha256(createHasher(), digestedText(unsigned)) };
  await writeFile(
    sink,
    MANIFEST_FILE,
    new TextEncoder().encode(`${JSON.stringify(manifest, null, 1)}\n`),
    createHasher(),
  );
  return manifest;
}

async function writeFile(sink: BundleSink, file: string, bytes: Uint8Array, hasher: Hasher): Promise<BundledFile> {
  const out = await sink.create(file);
  await out.write(bytes);
  await out.close();
  hasher.update(bytes);
  return { file, bytes: bytes.length, sha256: hasher.hex() };
}

/** Cuts the stream into shards. */
class ShardWriter {
  readonly #sink: BundleSink;
  readonly #createHasher: CreateHasher;
  readonly #done: BundledFile[] = [];
  #open: { readonly file: FileSink; readonly hasher: Hasher; bytes: number } | null = null;

  constructor(sink: BundleSink, createHasher: CreateHasher) {
    this.#sink = sink;
    this.#createHasher = createHasher;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      this.#open ??= {
        file: await this.#sink.create(shardFile(this.#done.length)),
        hasher: this.#createHasher(),
        bytes: 0,
      };
      const open = this.#open;
      const part = bytes.subarray(at, at + SHARD_BYTES - open.bytes);
      await open.file.write(part);
      open.hasher.update(part);
      open.bytes += part.length;
      at += part.length;
      if (open.bytes === SHARD_BYTES) await this.#close();
    }
  }

  async finish(): Promise<BundledFile[]> {
    await this.#close();
    return this.#done;
  }

  async #close(): Promise<void> {
    if (!this.#open) return;
    const { file, hasher, bytes } = this.#open;
    await file.close();
    this.#done.push({ file: shardFile(this.#done.length), bytes, sha256: hasher.hex() });
    this.#open = null;
  }
}
