/** Reads a bundle (FORMAT.md): its bytes go into the backend as they are, checked on the way. */

import type { Backend, Weight } from "../backend/backend.ts";
import { isMatrix, matrixShape, rowScalesBytes, tilesBytes } from "../backend/packed.ts";
import { CheckpointError } from "../errors.ts";
import { type WeightRole, type WeightSpec, weightTable } from "../model/weight-table.ts";
import { type ModelWeights, mapWeights, weightLeaves } from "../model/weight-tree.ts";
import {
  type BundledFile,
  type BundledTensor,
  digestedText,
  MANIFEST_FILE,
  type Manifest,
  parseManifest,
  streamBytes,
} from "./bundle-manifest.ts";
import { type ByteSource, type Folder, readExactly, readText } from "./byte-source.ts";
import { type CreateHasher, sha256 } from "./hasher.ts";
import { parseStrictJson } from "./strict-json.ts";

const MAX_MANIFEST_BYTES = 4 * 2 ** 20; // RecurrentGemma-9B's has 0.2 MB

// Bytes read at a time.
const PIECE_BYTES = 2 ** 20;

/** null where the folder is no bundle. Throws where it is a bad one. */
export async function openBundle(folder: Folder, createHasher: CreateHasher): Promise<Manifest | null> {
  const source = await folder.open(MANIFEST_FILE);
  if (!source) return null;
  const manifest = parseManifest(parseStrictJson(await readText(source, MAX_MANIFEST_BYTES), MANIFEST_FILE));
  const digest = await sha256(createHasher(), digestedText(manifest));
  if (digest !== manifest.digest)
    throw new CheckpointError(
      "value",
      `${MANIFEST_FILE}: the digest is ${manifest.digest}, its contents have ${digest}: it was changed`,
    );
  // Sizes are a claim until the files show them; before any memory is laid out.
  for (const file of [...manifest.files, ...manifest.shards]) await openListed(folder, file);
  return manifest;
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
  options: LoadBundleOptions,
): Promise<ModelWeights<Weight>> {
  const table = weightTable(manifest.config);
  const specs = weightLeaves(table);
  const weights = new Map<string, Weight>();
  const tensors = manifest.tensors.map((tensor, at) => new TensorReader(tensor, specs[at], backend, weights));
  let next = 0;
  await readStream(folder, manifest, options, (offset, bytes) => {
    // A piece may end one tensor and begin others; between them lie zeros.
    while (next < tensors.length && tensors[next].accept(offset, bytes)) next++;
  });
  return mapWeights(table, ({ name }) => weights.get(name) as Weight);
}

/** Reads everything and keeps nothing: whether a bundle is whole. */
export async function verifyBundle(folder: Folder, manifest: Manifest, options: LoadBundleOptions): Promise<void> {
  for (const file of manifest.files) {
    const source = await openListed(folder, file);
    checkHash(file, await hashOf(source, options.createHasher));
  }
  await readStream(folder, manifest, options, () => undefined);
}

/** One tensor on its way into the backend. */
class TensorReader {
  readonly #tensor: BundledTensor;
  readonly #spec: WeightSpec;
  readonly #backend: Backend;
  readonly #weights: Map<string, Weight>;
  #writer: ReturnType<Backend["weight"]> | null = null;
  #done = 0;

  constructor(tensor: BundledTensor, spec: WeightSpec, backend: Backend, weights: Map<string, Weight>) {
    this.#tensor = tensor;
    this.#spec = spec;
    this.#backend = backend;
    this.#weights = weights;
  }

  /** Takes what is its own of a piece at `offset` of the stream; true once it is complete. */
  accept(offset: number, bytes: Uint8Array): boolean {
    const { name, dtype, shape, bytes: total } = this.#tensor;
    const from = this.#tensor.offset + this.#done - offset;
    const own = bytes.subarray(from, from + total - this.#done);
    this.#writer ??= this.#backend.weight(this.#spec.role, shape, dtype);
    checkFinite(this.#tensor, this.#spec.role, this.#done, own);
    this.#writer.write(own);
    this.#done += own.length;
    if (this.#done < total) return false;
    this.#weights.set(name, this.#writer.finish());
    return true;
  }
}

/** Of the bytes from `start` of a tensor on, those that are floats must be finite: a single NaN silences a model. */
function checkFinite({ name, dtype, shape }: BundledTensor, role: WeightRole, start: number, bytes: Uint8Array): void {
  // Tensors and pieces begin at multiples of 4, as everything in them does but f16, whose pairs are checked by halves.
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const isBad = (word: number) =>
    dtype === "f16" && isMatrix(role)
      ? (word & 0x7c00) === 0x7c00 || (word & 0x7c000000) === 0x7c000000
      : (word & 0x7f800000) === 0x7f800000;
  for (const [from, to] of floatRanges(role, shape, dtype)) {
    for (let at = Math.max(from, start); at < Math.min(to, start + bytes.length); at += 4) {
      if (isBad(words[(at - start) / 4]))
        throw new CheckpointError("value", `${name} has a number at byte ${at} that is not finite`, { tensor: name });
    }
  }
}

/** The bytes of a tensor that are floats: all, or the row scales behind each matrix. */
function* floatRanges(
  role: WeightRole,
  shape: readonly number[],
  dtype: BundledTensor["dtype"],
): Generator<[number, number]> {
  if (!isMatrix(role) || dtype === "f32" || dtype === "f16") {
    yield [0, Number.POSITIVE_INFINITY];
    return;
  }
  const { count, rows, columns } = matrixShape(role, shape);
  const [tiles, scales] = [tilesBytes(dtype, rows, columns), rowScalesBytes(dtype, rows)];
  for (let m = 0; m < count; m++) yield [m * (tiles + scales) + tiles, (m + 1) * (tiles + scales)];
}

async function readStream(
  folder: Folder,
  { tensors, shards }: Manifest,
  { createHasher, onProgress }: LoadBundleOptions,
  take: (offset: number, bytes: Uint8Array) => void,
): Promise<void> {
  const total = streamBytes(tensors);
  let offset = 0;
  for (const shard of shards) {
    const source = await openListed(folder, shard);
    const hasher = createHasher();
    for (let at = 0; at < shard.bytes; at += PIECE_BYTES) {
      const piece = await readExactly(source, at, Math.min(PIECE_BYTES, shard.bytes - at));
      const bytes = piece.byteOffset % 4 === 0 ? piece : new Uint8Array(piece);
      await hasher.update(bytes);
      take(offset, bytes);
      offset += bytes.length;
      await onProgress?.(offset, total);
    }
    checkHash(shard, await hasher.hex());
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
    await hasher.update(await readExactly(source, at, Math.min(PIECE_BYTES, source.size - at)));
  return hasher.hex();
}

function checkHash({ file, sha256 }: BundledFile, found: string): void {
  if (found !== sha256)
    throw new CheckpointError(
      "value",
      `${file} has sha256 ${found}, ${MANIFEST_FILE} says ${sha256}: the file was changed or cut off`,
    );
}
