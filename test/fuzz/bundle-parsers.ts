/** Weights and what describes them: safetensors headers, strict JSON, manifests, the stream of shards. */

import fc from "fast-check";
import { sha256Hasher } from "../../cli/bundle-folder.ts";
import { memoryBytes } from "../../durable-objects/memory-budget.ts";
import type { Backend } from "../../shared/backend/backend.ts";
import { referenceBackend } from "../../shared/backend/reference/index.ts";
import { BundleLoad } from "../../shared/checkpoint/bundle-load.ts";
import { digestedText, layOut, type Manifest, parseManifest } from "../../shared/checkpoint/bundle-manifest.ts";
import { readManifest } from "../../shared/checkpoint/bundle-reader.ts";
import { sha256 } from "../../shared/checkpoint/hasher.ts";
import { openSafetensors, readF32 } from "../../shared/checkpoint/safetensors.ts";
import { parseStrictJson } from "../../shared/checkpoint/strict-json.ts";
import { CheckpointError, ConfigError } from "../../shared/errors.ts";
import { stateLayout } from "../../shared/model/state-layout.ts";
import { memoryFolder, recordingSource, safetensorsFile } from "../checkpoint/sources.ts";
import { changedBytes, changedJson, textOf } from "./mutations.ts";
import { type AnyParser, entry, membersOf, mustBe, mustEqual, refusedBy, type Verdict } from "./parser.ts";
import { smallBundle } from "./sound-inputs.ts";

const FILE = "model.safetensors";
const utf8 = new TextEncoder();

export async function bundleParsers(): Promise<readonly AnyParser[]> {
  const { manifest, stream } = await smallBundle();
  return [
    entry({ name: "safetensors", inputs: safetensorsFiles(), judge: judgeSafetensors }),
    entry({
      name: "strict JSON",
      inputs: textOf(changedJson([manifest, { a: { b: [1, { c: 2 }] } }, [], "x"])),
      judge: judgeStrictJson,
    }),
    entry({ name: "manifest", inputs: manifests(manifest), judge: judgeManifest }),
    entry({ name: "shards", inputs: pieces(stream), judge: (input: Pieces) => judgeShards(manifest, stream, input) }),
  ];
}

// -- safetensors

const plainHeader = {
  __metadata__: { format: "pt" },
  a: { dtype: "F32", shape: [2, 2], data_offsets: [0, 16] },
  b: { dtype: "BF16", shape: [4], data_offsets: [16, 24] },
  c: { dtype: "F16", shape: [1, 4, 1], data_offsets: [24, 32] },
  d: { dtype: "I8", shape: [], data_offsets: [32, 33] },
};
const plainData = Uint8Array.from({ length: 33 }, (_, at) => (at % 2 ? 0x3c : at));

function safetensorsFiles(): fc.Arbitrary<Uint8Array> {
  const sound = [safetensorsFile(JSON.stringify(plainHeader), plainData), safetensorsFile("{}", new Uint8Array())];
  const lengths = fc.option(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { freq: 20, nil: undefined });
  return fc.oneof(
    {
      weight: 3,
      arbitrary: fc
        .tuple(textOf(changedJson([plainHeader])), lengths)
        .map(([header, length]) => safetensorsFile(header, plainData, length)),
    },
    { weight: 2, arbitrary: changedBytes(sound) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 60 }) },
  );
}

async function judgeSafetensors(bytes: Uint8Array): Promise<Verdict> {
  const source = recordingSource(FILE, bytes);
  const tensors = await openSafetensors(source).catch((error: unknown) =>
    refusedBy(error, [CheckpointError], /model\.safetensors/),
  );
  for (const { offset, length } of source.reads)
    if (!(offset >= 0 && length >= 0 && offset + length <= bytes.length))
      throw new Error(`read ${length} bytes at ${offset} of a file of ${bytes.length}`);
  if (tensors === "refused") return tensors;
  const dataStart = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const { __metadata__: _, ...entries } = JSON.parse(new TextDecoder().decode(bytes.subarray(8, dataStart)));
  mustEqual([...tensors.keys()], Object.keys(entries), "the header lists other tensors");
  let total = dataStart;
  for (const tensor of tensors.values()) {
    const { dtype, shape, data_offsets } = entries[tensor.name];
    mustEqual(
      [tensor.dtype, tensor.shape, tensor.offsetBytes - dataStart, tensor.bytes],
      [dtype, shape, data_offsets[0], data_offsets[1] - data_offsets[0]],
      tensor.name,
    );
    total += tensor.bytes;
    const values = await readF32(tensor).catch((error: unknown) =>
      refusedBy(error, [CheckpointError], /model\.safetensors/),
    );
    if (values === "refused") continue;
    mustBe(values.every(Number.isFinite), `${tensor.name} has values that are not finite`);
    mustBe(
      values.length === shape.reduce((product: number, side: number) => product * side, 1),
      `${tensor.name} has ${values.length} values`,
    );
  }
  mustBe(total === bytes.length, "bytes belong to no tensor, or to two");
  return "accepted";
}

// -- JSON

function judgeStrictJson(text: string): Verdict {
  let value: unknown;
  try {
    value = parseStrictJson(text, "the file");
  } catch (error) {
    return refusedBy(error, [CheckpointError], /^the file /);
  }
  mustEqual(value, JSON.parse(text), "it is not what JSON.parse reads");
  const { written, read } = membersOf(text);
  mustBe(written === read, `of ${written} members ${read} are left: a key is there twice`);
  return "accepted";
}

// -- manifests

interface ManifestCase {
  readonly text: string;
  /** With the digest of what it says: what lies behind that check is reached. */
  readonly isVouched: boolean;
}

function manifests(manifest: Manifest): fc.Arbitrary<ManifestCase> {
  const changed = changedJson<unknown>([manifest], 3);
  const config = changedJson<unknown>([manifest.config], 2).map((config) => ({ ...manifest, config }));
  return fc.record({ text: textOf(fc.oneof(changed, config)), isVouched: fc.boolean() });
}

async function judgeManifest({ text, isVouched }: ManifestCase): Promise<Verdict> {
  const bytes = utf8.encode(isVouched ? vouched(text) : text);
  const manifest = await readManifest(memoryFolder({ "manifest.json": bytes }), sha256Hasher).catch((error: unknown) =>
    refusedBy(error, [CheckpointError, ConfigError], /manifest\.json|^config: /),
  );
  if (manifest === "refused") return manifest;
  if (manifest === null) throw new Error("the folder has a manifest, and none was found");
  mustEqual(parseManifest(JSON.parse(JSON.stringify(manifest))), manifest, "it is not read back");
  const dtypes = new Map(manifest.tensors.map(({ name, dtype }) => [name, dtype]));
  mustEqual(
    manifest.tensors,
    layOut(manifest.config, ({ name }) => dtypes.get(name) ?? "f32"),
    "its tensors lie elsewhere",
  );
  const names = ["manifest.json", ...[...manifest.shards, ...manifest.files].map(({ file }) => file)];
  mustBe(new Set(names).size === names.length, "two of its files have one name");
  mustBe(Number.isSafeInteger(memoryBytes(manifest)), "what it takes is no number");
  mustBe(Number.isSafeInteger(stateLayout(manifest.config, manifest.ring).bytes), "what a state takes is no number");
  return "accepted";
}

function vouched(text: string): string {
  try {
    const value = JSON.parse(text) as Manifest;
    return JSON.stringify({ ...value, digest: sha256(sha256Hasher(), digestedText(parseManifest(value))) });
  } catch {
    return text;
  }
}

// -- shards

interface Pieces {
  readonly bytes: Uint8Array;
  readonly sizes: readonly number[];
}

function pieces(stream: Uint8Array): fc.Arbitrary<Pieces> {
  return fc.record({ bytes: changedBytes([stream]), sizes: fc.array(fc.nat(9000), { maxLength: 8 }) });
}

function judgeShards(manifest: Manifest, stream: Uint8Array, { bytes, sizes }: Pieces): Verdict {
  const load = new BundleLoad(manifest, counter(), sha256Hasher);
  try {
    for (const size of sizes) load.accept(bytes.subarray(load.offset, load.offset + size));
    load.accept(bytes.subarray(load.offset));
    load.finish();
  } catch (error) {
    return refusedBy(error, [CheckpointError], /manifest\.json|not finite/);
  }
  mustBe(Buffer.compare(bytes, stream) === 0, "it is not what the manifest vouches for");
  return "accepted";
}

/** A backend that takes what it is given and refuses more than it asked for. */
function counter(): Backend {
  return {
    ...referenceBackend(),
    weight: (_role, shape) => ({ write: () => undefined, finish: () => ({ shape }) }),
  };
}
