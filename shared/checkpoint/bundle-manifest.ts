/** The manifest of a bundle (FORMAT.md): its type, how it follows from a config, and the checks of one that was read. */

import * as z from "zod/mini"; // a browser loads this file: a tenth of the whole library
import { alignedBytes, isMatrix, type PackedWeight, packedBytes, type WeightDType } from "../backend/packed.ts";
import { CheckpointError } from "../errors.ts";
import { checkConfig, type ModelConfig } from "../model/config.ts";
import type { RingDType } from "../model/state-layout.ts";
import { type WeightSpec, weightTable } from "../model/weight-table.ts";
import { weightLeaves } from "../model/weight-tree.ts";
import { preparedShape } from "./prepare.ts";
import { shown } from "./strict-json.ts";

export const MANIFEST_FILE = "manifest.json";

/** Static hosts refuse files of more than 25 MiB. */
export const SHARD_BYTES = 24 * 2 ** 20;

export interface BundledTensor {
  readonly name: string;
  readonly dtype: WeightDType;
  readonly shape: readonly number[];
  /** In the stream, which is all shards one after the other. */
  readonly offset: number;
  readonly bytes: number;
}

export interface BundledFile {
  readonly file: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface Manifest {
  readonly format: "aerie-bundle";
  readonly version: 1;
  readonly config: ModelConfig;
  readonly ring: RingDType;
  readonly license: string | null;
  readonly tensors: readonly BundledTensor[];
  readonly shards: readonly BundledFile[];
  readonly files: readonly BundledFile[];
  readonly digest: string;
}

/** The text that a manifest's digest is the sha256 of. Keys in the order of the interface, so equal manifests are equal bytes. */
export function digestedText(manifest: Omit<Manifest, "digest">): string {
  const { format, version, config, ring, license, tensors, shards, files } = manifest;
  return JSON.stringify({ format, version, config, ring, license, tensors, shards, files });
}

/** Where every tensor lies, given the dtype of each. */
export function layOut(config: ModelConfig, dtypeOfSpec: (spec: WeightSpec) => WeightDType): BundledTensor[] {
  let offset = 0;
  return weightLeaves(weightTable(config)).map((spec) => {
    const { name, role } = spec;
    const dtype = dtypeOfSpec(spec);
    const shape = preparedShape(role, spec.shape);
    const bytes = packedBytes(role, shape, dtype);
    const tensor = { name, dtype, shape, offset, bytes };
    offset += alignedBytes(bytes);
    return tensor;
  });
}

/** Bytes of the stream, the zeros behind the last tensor included. */
export function streamBytes(tensors: readonly BundledTensor[]): number {
  const last = tensors[tensors.length - 1];
  return alignedBytes(last.offset + last.bytes);
}

/** What a backend is given of a bundle. */
export const bundledWeights = ({ config, tensors }: Pick<Manifest, "config" | "tensors">): PackedWeight[] =>
  weightLeaves(weightTable(config)).map(({ role }, at) => ({
    role,
    shape: tensors[at].shape,
    dtype: tensors[at].dtype,
  }));

export const shardFile = (index: number): string => `weights-${String(index).padStart(5, "0")}.bin`;

z.config(z.locales.en()); // the whole library's sentences

const count = z.int().check(z.minimum(0));
const sha256 = z.string().check(z.regex(/^[0-9a-f]{64}$/));
const file = z.strictObject({ file: z.string().check(z.maxLength(200)), bytes: count, sha256 });
const configSchema = z.strictObject({
  vocabSize: count,
  width: count,
  mlpWidth: count,
  mixers: z.array(z.enum(["rg-lru", "local-attention"])).check(z.maxLength(1024)),
  heads: count,
  kvHeads: count,
  headDim: count,
  lruWidth: count,
  gateBlocks: count,
  convWidth: count,
  windowSize: count,
  windowKeys: count,
  ropeTheta: z.number(),
  rotaryFraction: z.number(),
  logitSoftCap: z.number(),
  embeddingScale: z.enum(["bf16-sqrt-width", "sqrt-width", "none"]),
  activation: z.enum(["gelu-tanh", "silu"]),
  normEps: z.number(),
  tiedEmbeddings: z.boolean(),
  bosId: count,
  padId: count,
  eosIds: z.array(count).check(z.maxLength(64)),
}) satisfies z.ZodMiniType<ModelConfig>;
const dtype = z.enum(["f32", "f16", "rg8", "rg4"]);
const manifestSchema = z.strictObject({
  format: z.literal("aerie-bundle"),
  version: z.literal(1),
  config: configSchema,
  ring: z.enum(["f32", "f16", "i8"]),
  license: z.nullable(z.string().check(z.maxLength(1000))),
  tensors: z
    .array(
      z.strictObject({
        name: z.string().check(z.maxLength(200)),
        dtype,
        shape: z.array(count).check(z.maxLength(4)),
        offset: count,
        bytes: count,
      }),
    )
    .check(z.maxLength(32_768)),
  shards: z.array(file).check(z.maxLength(4096)),
  files: z.array(file).check(z.maxLength(64)),
  digest: sha256,
}) satisfies z.ZodMiniType<Manifest>;

/** Throws a `CheckpointError` or `ConfigError` unless the manifest is whole and agrees with itself. The digest is not computed here. */
export function parseManifest(json: unknown): Manifest {
  const parsed = manifestSchema.safeParse(json);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0];
    throw new CheckpointError("json", `${MANIFEST_FILE}: ${path.join(".") || "the whole file"}: ${message}`);
  }
  const manifest = parsed.data;
  checkConfig(manifest.config);
  checkTensors(manifest);
  checkShards(manifest);
  checkFiles(manifest);
  return manifest;
}

function checkTensors({ config, tensors }: Manifest): void {
  const dtypes = new Map(tensors.map(({ name, dtype }) => [name, dtype]));
  const expected = layOut(config, ({ name, role }) => {
    const found = dtypes.get(name);
    if (!found) throw new CheckpointError("missing", `${MANIFEST_FILE} lists no ${name}`, { tensor: name });
    if (!isMatrix(role) && found !== "f32")
      throw new CheckpointError("dtype", `${MANIFEST_FILE}: ${name} has dtype ${found}, expected f32`, {
        tensor: name,
      });
    return found;
  });
  for (const [at, tensor] of tensors.entries()) {
    const { name } = tensor;
    const asked = expected[at];
    if (asked?.name !== name)
      throw new CheckpointError(
        "unexpected",
        `${MANIFEST_FILE} lists ${shown(name)} where ${asked?.name ?? "nothing more"} belongs`,
        { tensor: name },
      );
    const [want, found] = [describe(asked), describe(tensor)];
    if (want !== found)
      throw new CheckpointError("shape", `${MANIFEST_FILE}: ${name} is ${found}, the config asks for ${want}`, {
        tensor: name,
      });
  }
}

const describe = ({ dtype, shape, offset, bytes }: BundledTensor): string =>
  `${shape.join("×")} ${dtype}, ${bytes} bytes at ${offset}`;

function checkShards({ tensors, shards }: Manifest): void {
  const total = streamBytes(tensors);
  const files = Math.ceil(total / SHARD_BYTES);
  if (shards.length !== files)
    throw new CheckpointError("bytes", `${MANIFEST_FILE} lists ${shards.length} shards, ${total} bytes take ${files}`);
  for (const [at, { file, bytes }] of shards.entries()) {
    const [name, size] = [shardFile(at), Math.min(SHARD_BYTES, total - at * SHARD_BYTES)];
    if (file !== name || bytes !== size)
      throw new CheckpointError(
        "bytes",
        `${MANIFEST_FILE} lists shard ${shown(file)} of ${bytes} bytes, expected ${name} of ${size}`,
      );
  }
}

function checkFiles({ shards, files }: Manifest): void {
  const taken = new Set([MANIFEST_FILE, ...shards.map(({ file }) => file)]);
  for (const { file } of files) {
    if (!/^\w[\w.-]*$/.test(file))
      throw new CheckpointError("json", `${MANIFEST_FILE} names ${shown(file)}, which is not a file of the folder`);
    const name = file.toLowerCase(); // many a disk takes names that differ in case alone for one
    if (taken.has(name))
      throw new CheckpointError(
        "json",
        `${MANIFEST_FILE} names ${shown(file)} twice: expected each other file once, and neither ${MANIFEST_FILE} nor a shard among them`,
      );
    taken.add(name);
  }
}
