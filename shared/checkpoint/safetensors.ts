/** Reads the safetensors format: a length, a JSON header, and tensors back to back. All of it is checked before use. */

import { z } from "zod";
import { f16ToF32 } from "../backend/dtype.ts";
import { CheckpointError } from "../errors.ts";
import { type ByteSource, readExactly } from "./byte-source.ts";
import { isStringMap, parseStrictJson, quoted, shown } from "./strict-json.ts";

/** The formats that weights come in. A file may hold others; only reading one is an error. */
type FileDType = "F32" | "BF16" | "F16";

/** One tensor of a file, little-endian and row-major. */
export interface TensorEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** In the file, not in its data section. */
  readonly offsetBytes: number;
  readonly bytes: number;
  readonly source: ByteSource;
}

// RecurrentGemma-9B's header has 0.1 MB. A hostile one costs 40 times its size as objects: the format's own limit of
// 100 MB would be gigabytes.
const MAX_HEADER_BYTES = 2 ** 20;

const LENGTH_BYTES = 8; // the header's length, u64

// Bits per element of every dtype that the format knows.
// biome-ignore format: a table
const bitsPerElement: Record<string, number> = {
  F4: 4, F6_E2M3: 6, F6_E3M2: 6, BOOL: 8, U8: 8, I8: 8, F8_E5M2: 8, F8_E4M3: 8, F8_E8M0: 8,
  I16: 16, U16: 16, F16: 16, BF16: 16, I32: 32, U32: 32, F32: 32, I64: 64, U64: 64, F64: 64, C64: 64,
};

const entrySchema = z.strictObject(
  {
    dtype: z.string(),
    shape: z.array(z.int().min(0)).max(16),
    data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
  },
  {
    error: ({ code }) => (code === "unrecognized_keys" ? "only dtype, shape and data_offsets may be here" : undefined),
  },
);

/** The file's tensors by name. Source: the format's description in huggingface/safetensors, README.md */
export async function openSafetensors(source: ByteSource): Promise<Map<string, TensorEntry>> {
  const { headerBytes, text } = await readHeader(source);
  const json = parseStrictJson(text, `the header of ${source.name}`);
  if (json === null || typeof json !== "object" || Array.isArray(json))
    throw new CheckpointError("header", `${source.name}: the header must be a JSON object`);

  const dataStart = LENGTH_BYTES + headerBytes;
  const entries: TensorEntry[] = [];
  for (const [name, value] of Object.entries(json)) {
    if (name === "__metadata__") checkMetadata(value, source);
    else entries.push(parseEntry(name, value, source, dataStart));
  }
  checkTiling(entries, source, dataStart);
  // A size is a claim until its last byte is read. A file that is shorter fails here, before its tensors take memory.
  await readExactly(source, source.size - 1, 1);
  return new Map(entries.map((entry) => [entry.name, entry]));
}

async function readHeader(source: ByteSource): Promise<{ headerBytes: number; text: string }> {
  if (!(source.size >= LENGTH_BYTES))
    throw new CheckpointError(
      "header",
      `${source.name}: a safetensors file has at least 8 bytes, found ${source.size}`,
    );
  const prefix = await readExactly(source, 0, LENGTH_BYTES);
  const declared = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  const room = Math.min(MAX_HEADER_BYTES, source.size - LENGTH_BYTES);
  if (declared > BigInt(room))
    throw new CheckpointError(
      "header",
      `${source.name}: the header claims ${declared} bytes, at most ${room} are possible in this file`,
    );
  const headerBytes = Number(declared);
  const bytes = await readExactly(source, LENGTH_BYTES, headerBytes);
  try {
    return { headerBytes, text: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch (cause) {
    throw new CheckpointError("header", `${source.name}: the header is not valid UTF-8`, { cause });
  }
}

function checkMetadata(value: unknown, source: ByteSource): void {
  if (!isStringMap(value))
    throw new CheckpointError("header", `${source.name}: __metadata__ must map strings to strings`);
}

function parseEntry(name: string, value: unknown, source: ByteSource, dataStart: number): TensorEntry {
  const parsed = entrySchema.safeParse(value);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0];
    const where = `${source.name}: ${shown(name)}: ${path.join(".") || "its entry"}`;
    throw new CheckpointError("header", `${where}: ${message}`, { tensor: name });
  }
  const { dtype, shape, data_offsets } = parsed.data;
  const [begin, end] = data_offsets;
  const bits = Object.hasOwn(bitsPerElement, dtype) ? bitsPerElement[dtype] : undefined;
  if (bits === undefined)
    throw new CheckpointError("dtype", `${source.name}: ${shown(name)} has the unknown dtype ${quoted(dtype)}`, {
      tensor: name,
    });

  const expected = shape.reduce((product, side) => product * side, bits) / 8;
  if (!Number.isSafeInteger(expected))
    throw new CheckpointError(
      "shape",
      `${source.name}: ${shown(name)} has the impossible shape ${shape.join("×")} of ${dtype}`,
      {
        tensor: name,
      },
    );
  if (end - begin !== expected)
    throw new CheckpointError(
      "bytes",
      `${source.name}: ${shown(name)} of shape ${shape.join("×")} ${dtype} takes ${expected} bytes, its offsets ${begin} to ${end} hold ${end - begin}`,
      { tensor: name },
    );
  return { name, dtype, shape, offsetBytes: dataStart + begin, bytes: expected, source };
}

/** The tensors must cover the data section exactly: an overlap or a hole means that some offset is a lie. */
function checkTiling(entries: TensorEntry[], source: ByteSource, dataStart: number): void {
  let end = dataStart;
  for (const entry of entries.toSorted((a, b) => a.offsetBytes - b.offsetBytes || a.bytes - b.bytes)) {
    if (entry.offsetBytes !== end)
      throw new CheckpointError(
        "bytes",
        `${source.name}: ${shown(entry.name)} begins at byte ${entry.offsetBytes}, expected ${end}: tensors ${entry.offsetBytes < end ? "overlap" : "leave a hole"}`,
        { tensor: entry.name },
      );
    end += entry.bytes;
  }
  if (end !== source.size)
    throw new CheckpointError("bytes", `${source.name} has ${source.size} bytes, its header accounts for ${end}`);
}

// Bytes read at a time: large enough for a disk or a bucket, small beside an isolate's memory.
const PIECE_BYTES = 4 * 2 ** 20;

/** Throws unless `readF32` can read the tensor. */
export function checkDType({ name, dtype, source }: TensorEntry): FileDType {
  if (dtype === "F32" || dtype === "BF16" || dtype === "F16") return dtype;
  throw new CheckpointError("dtype", `${source.name}: ${shown(name)} has dtype ${dtype}, expected F32, BF16 or F16`, {
    tensor: name,
  });
}

/** `count` elements from `first` on, by default all, as f32; bf16 and f16 widen exactly. Refuses NaN and infinities. */
export async function readF32(entry: TensorEntry, first = 0, count?: number): Promise<Float32Array<ArrayBuffer>> {
  const { name, source } = entry;
  const dtype = checkDType(entry);
  const bytesPerElement = bitsPerElement[dtype] / 8;
  const values = allocate(entry, count ?? entry.bytes / bytesPerElement);
  const start = entry.offsetBytes + first * bytesPerElement;
  const total = values.length * bytesPerElement;
  for (let at = 0; at < total; at += PIECE_BYTES) {
    const length = Math.min(PIECE_BYTES, total - at);
    const piece = await readExactly(source, start + at, length);
    widen(dtype, piece, values.subarray(at / bytesPerElement, (at + length) / bytesPerElement));
  }
  // NaN − NaN and ∞ − ∞ are NaN.
  for (let at = 0; at < values.length; at++) {
    if (values[at] - values[at] !== 0)
      throw new CheckpointError(
        "value",
        `${source.name}: ${shown(name)} has ${values[at]} at element ${first + at}, expected finite numbers`,
        { tensor: name },
      );
  }
  return values;
}

function allocate({ name, source }: TensorEntry, elements: number): Float32Array<ArrayBuffer> {
  try {
    return new Float32Array(elements);
  } catch (cause) {
    throw new CheckpointError(
      "bytes",
      `${source.name}: ${shown(name)} takes ${elements * 4} bytes as f32, more than there is memory for`,
      { tensor: name, cause },
    );
  }
}

/** Little-endian bytes to f32. Every platform that runs WebAssembly is little-endian, so views do. */
function widen(dtype: FileDType, bytes: Uint8Array, values: Float32Array): void {
  // A view must start at a multiple of its element's size; a piece from a pool of buffers may not. A Node `Buffer` is
  // such a piece, and its `slice` would not copy.
  const { buffer, byteOffset } = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  switch (dtype) {
    case "F32":
      values.set(new Float32Array(buffer, byteOffset, values.length));
      return;
    case "BF16": {
      const halves = new Uint16Array(buffer, byteOffset, values.length);
      const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
      for (let at = 0; at < halves.length; at++) bits[at] = halves[at] << 16; // the upper half of an f32
      return;
    }
    case "F16": {
      const halves = new Uint16Array(buffer, byteOffset, values.length);
      for (let at = 0; at < halves.length; at++) values[at] = f16ToF32(halves[at]);
      return;
    }
    default:
      dtype satisfies never;
  }
}
