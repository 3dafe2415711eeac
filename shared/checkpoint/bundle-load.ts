/**
 * A bundle on its way into a backend: takes the stream of all shards in pieces and checks what it takes. Everything that is
 * known of a load lies in one object and every step is synchronous, so whoever holds it can go on where another stopped.
 */

import type { Backend, Weight } from "../backend/backend.ts";
import { isMatrix, matrixShape, rowScalesBytes, tilesBytes } from "../backend/packed.ts";
import { CheckpointError } from "../errors.ts";
import { type WeightRole, type WeightSpec, weightTable } from "../model/weight-table.ts";
import { type ModelWeights, mapWeights, weightLeaves } from "../model/weight-tree.ts";
import { type BundledFile, type BundledTensor, MANIFEST_FILE, type Manifest, streamBytes } from "./bundle-manifest.ts";
import type { CreateHasher, Hasher } from "./hasher.ts";

/** The shards as one stream, of which each must have the sha256 that the manifest says. */
export class ShardStream {
  readonly totalBytes: number;
  readonly #shards: readonly BundledFile[];
  readonly #createHasher: CreateHasher;
  #shard = 0;
  #at = 0; // bytes of that shard that were accepted
  #hasher: Hasher;
  #offset = 0;

  constructor({ tensors, shards }: Manifest, createHasher: CreateHasher) {
    this.totalBytes = streamBytes(tensors);
    this.#shards = shards;
    this.#createHasher = createHasher;
    this.#hasher = createHasher();
  }

  /** Bytes of the stream that were accepted. */
  get offset(): number {
    return this.#offset;
  }

  /** Where the next byte lies; null at the end. */
  get next(): { readonly shard: BundledFile; readonly at: number } | null {
    return this.#shard < this.#shards.length ? { shard: this.#shards[this.#shard], at: this.#at } : null;
  }

  /** Takes the next bytes, any number of them. Throws a `CheckpointError` at the end of a shard that is not the manifest's. */
  accept(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length; ) {
      const next = this.next;
      if (!next)
        throw new CheckpointError(
          "bytes",
          `the shards have more than the ${this.totalBytes} bytes of ${MANIFEST_FILE}`,
        );
      const part = bytes.subarray(from, from + next.shard.bytes - this.#at);
      this.#hasher.update(part);
      from += part.length;
      this.#at += part.length;
      this.#offset += part.length;
      if (this.#at === next.shard.bytes) this.#endShard(next.shard);
    }
  }

  #endShard(shard: BundledFile): void {
    checkHash(shard, this.#hasher.hex());
    this.#hasher = this.#createHasher();
    this.#shard++;
    this.#at = 0;
  }
}

export function checkHash({ file, sha256 }: BundledFile, found: string): void {
  if (found !== sha256)
    throw new CheckpointError(
      "value",
      `${file} has sha256 ${found}, ${MANIFEST_FILE} says ${sha256}: the file was changed or cut off`,
    );
}

// Everything in a tensor is a multiple of this, as is every tensor's place.
const WORD_BYTES = 4;

export class BundleLoad {
  readonly #stream: ShardStream;
  readonly #tensors: readonly TensorReader[];
  readonly #table: ReturnType<typeof weightTable>;
  readonly #weights = new Map<string, Weight>();
  #tensor = 0;
  /** The beginning of a word whose end has not come yet. */
  readonly #word = new Uint8Array(WORD_BYTES);
  #wordBytes = 0;
  #failed: unknown = null;

  /** The backend has room for the manifest's weights and none of them in it. */
  constructor(manifest: Manifest, backend: Backend, createHasher: CreateHasher) {
    this.#stream = new ShardStream(manifest, createHasher);
    this.#table = weightTable(manifest.config);
    const specs = weightLeaves(this.#table);
    this.#tensors = manifest.tensors.map((tensor, at) => new TensorReader(tensor, specs[at], backend));
  }

  /** Bytes of the stream that were accepted: the next piece begins there. */
  get offset(): number {
    return this.#stream.offset;
  }

  get totalBytes(): number {
    return this.#stream.totalBytes;
  }

  /** The shard that the next byte is in, and where in it; null at the end. */
  get next(): ShardStream["next"] {
    return this.#stream.next;
  }

  /** Takes the next bytes, any number of them; they may be reused at once. After a `CheckpointError` the load is lost. */
  accept(bytes: Uint8Array): void {
    if (this.#failed) throw this.#failed;
    const start = this.#stream.offset;
    try {
      this.#stream.accept(bytes);
      this.#takeWords(start, bytes);
    } catch (error) {
      this.#failed = error;
      throw error;
    }
  }

  /** The weights, once everything was accepted. */
  finish(): ModelWeights<Weight> {
    if (this.#failed) throw this.#failed;
    if (this.offset !== this.totalBytes)
      throw new CheckpointError(
        "bytes",
        `the shards end after ${this.offset} bytes, ${MANIFEST_FILE} says ${this.totalBytes}`,
      );
    return mapWeights(this.#table, ({ name }) => this.#weights.get(name) as Weight);
  }

  /** Cuts pieces into whole words: numbers are checked by their bits. */
  #takeWords(start: number, bytes: Uint8Array): void {
    let from = 0;
    if (this.#wordBytes > 0) {
      from = Math.min(WORD_BYTES - this.#wordBytes, bytes.length);
      this.#word.set(bytes.subarray(0, from), this.#wordBytes);
      this.#wordBytes += from;
      if (this.#wordBytes < WORD_BYTES) return;
      this.#take(start + from - WORD_BYTES, this.#word);
      this.#wordBytes = 0;
    }
    const whole = Math.floor((bytes.length - from) / WORD_BYTES) * WORD_BYTES;
    if (whole > 0) this.#take(start + from, bytes.subarray(from, from + whole));
    this.#word.set(bytes.subarray(from + whole));
    this.#wordBytes = bytes.length - from - whole;
  }

  /** A piece may end one tensor and begin others; between them lie zeros. */
  #take(offset: number, bytes: Uint8Array): void {
    for (; this.#tensor < this.#tensors.length; this.#tensor++) {
      const tensor = this.#tensors[this.#tensor];
      const weight = tensor.accept(offset, bytes);
      if (!weight) return;
      this.#weights.set(tensor.name, weight);
    }
  }
}

/** One tensor on its way into the backend. */
class TensorReader {
  readonly name: string;
  readonly #tensor: BundledTensor;
  readonly #spec: WeightSpec;
  readonly #backend: Backend;
  #writer: ReturnType<Backend["weight"]> | null = null;
  #done = 0;

  constructor(tensor: BundledTensor, spec: WeightSpec, backend: Backend) {
    this.name = tensor.name;
    this.#tensor = tensor;
    this.#spec = spec;
    this.#backend = backend;
  }

  /** Takes what is its own of a piece at `offset` of the stream, and returns the weight once that is complete. */
  accept(offset: number, bytes: Uint8Array): Weight | null {
    const { dtype, shape, bytes: total } = this.#tensor;
    const from = this.#tensor.offset + this.#done - offset;
    const own = bytes.subarray(from, from + total - this.#done);
    if (own.length === 0) return null;
    this.#writer ??= this.#backend.weight(this.#spec.role, shape, dtype);
    checkFinite(this.#tensor, this.#spec.role, this.#done, own);
    this.#writer.write(own);
    this.#done += own.length;
    return this.#done === total ? this.#writer.finish() : null;
  }
}

/** Of the bytes from `start` of a tensor on, those that are floats must be finite: a single NaN silences a model. */
function checkFinite({ name, dtype, shape }: BundledTensor, role: WeightRole, start: number, bytes: Uint8Array): void {
  const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.length); // pieces may begin anywhere in a buffer
  const isBad = (word: number) =>
    dtype === "f16" && isMatrix(role) // two numbers in a word
      ? (word & 0x7c00) === 0x7c00 || (word & 0x7c000000) === 0x7c000000
      : (word & 0x7f800000) === 0x7f800000;
  for (const [from, to] of floatRanges(role, shape, dtype)) {
    for (let at = Math.max(from, start); at < Math.min(to, start + bytes.length); at += WORD_BYTES) {
      if (isBad(words.getUint32(at - start, true)))
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
