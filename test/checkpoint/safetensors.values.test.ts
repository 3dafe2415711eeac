/** Are the values that come out the ones that went in?  Every half, every kind of f32, at every place of a piece. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ByteSource } from "../../shared/checkpoint/byte-source.ts";
import { openSafetensors, readF32 } from "../../shared/checkpoint/safetensors.ts";
import { CheckpointError } from "../../shared/errors.ts";
import { type Dtype, readSafetensors } from "../oracle/safetensors.ts";
import { expectExactly, FILE, judge } from "./judge.ts";
import { recordingSource, safetensorsFile } from "./sources.ts";

const MIB = 2 ** 20;
const PIECE_BYTES = 4 * MIB;

const bytesPerElement = { F32: 4, BF16: 2, F16: 2 } as const satisfies Record<Dtype, number>;
const dtypes = Object.keys(bytesPerElement) as Dtype[];

/** A file of one tensor `w`, whose elements have the given bits. */
function fileOf(dtype: Dtype, bits: Uint16Array | Uint32Array): Uint8Array {
  const header = JSON.stringify({ w: { dtype, shape: [bits.length], data_offsets: [0, bits.byteLength] } });
  return safetensorsFile(header, new Uint8Array(bits.buffer));
}

async function load(source: ByteSource): Promise<Float32Array> {
  const tensors = await openSafetensors(source);
  return readF32(tensors.get("w")!);
}

/** Bits of a finite number, another for every element nearby. */
function finiteBits(dtype: Dtype, count: number): Uint16Array | Uint32Array {
  const bits = dtype === "F32" ? new Uint32Array(count) : new Uint16Array(count);
  for (let at = 0; at < count; at++) {
    const half = (at % 0x7000) | ((at & 1) << 15); // below 0x7000 no exponent is all ones, in any of the three formats
    bits[at] = dtype === "F32" ? half * 65536 + (at % 65521) : half;
  }
  return bits;
}

/** What the bits of a dtype mean, from the oracle. Its reading of millions would take seconds. */
function meaningOf(dtype: Dtype): (bits: number) => number {
  const scratch = new DataView(new ArrayBuffer(4));
  if (dtype === "F32")
    return (bits) => {
      scratch.setUint32(0, bits);
      return scratch.getFloat32(0);
    };
  const all = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);
  const meanings = readSafetensors(fileOf(dtype, all)).get("w")!.data;
  return (bits) => meanings[bits];
}

function expectMeanings(values: Float32Array, dtype: Dtype, bits: Uint16Array | Uint32Array): void {
  const meaning = meaningOf(dtype);
  expect(values.length).toBe(bits.length);
  expect(values.findIndex((value, at) => !Object.is(value, meaning(bits[at])))).toBe(-1);
}

describe.each([
  { dtype: "BF16", exponent: 0x7f80 },
  { dtype: "F16", exponent: 0x7c00 },
] as const)("every $dtype", ({ dtype, exponent }) => {
  const all = Uint16Array.from({ length: 65_536 }, (_, bits) => bits);

  test("that is finite is widened exactly", async () => {
    const finite = all.filter((bits) => (bits & exponent) !== exponent);
    const file = fileOf(dtype, finite);
    expectExactly(await load(recordingSource(FILE, file)), readSafetensors(file).get("w")!.data);
  });

  test("that is not finite is refused by its tensor and its element", async () => {
    for (const bits of all.filter((bits) => (bits & exponent) === exponent)) {
      const [infinity, mantissa] = [bits & 0x8000 ? "-Infinity" : "Infinity", bits & ~exponent & 0x7fff];
      const error = await load(recordingSource(FILE, fileOf(dtype, Uint16Array.of(0, bits, 0)))).catch((e) => e);
      if (!(error instanceof CheckpointError)) throw error ?? new Error(`${bits} was not refused`);
      const sentence = `${FILE}: w has ${mantissa ? "NaN" : infinity} at element 1, expected finite numbers`;
      if (error.message !== sentence || error.tensor !== "w") expect(error.message).toBe(sentence);
    }
  });
});

test("every f32 bit for bit, whatever its exponent", async () => {
  const special = fc.constantFrom(0, 1, 0x007fffff, 0x00800000, 0x7f7fffff, 0x7f800000, 0x7f800001, 0x7fc00000);
  const bits = fc.tuple(fc.oneof(special, fc.integer({ min: 0, max: 2 ** 31 - 1 })), fc.boolean());
  await fc.assert(
    fc.asyncProperty(fc.array(bits, { maxLength: 20 }), async (list) => {
      const patterns = Uint32Array.from(list.map(([magnitude, isNegative]) => magnitude + (isNegative ? 2 ** 31 : 0)));
      expect(await judge(fileOf("F32", patterns))).toBe("loads"); // and reads: the oracle's values, or its first NaN
    }),
    { numRuns: 300 },
  );
});

describe.each(dtypes)("%s in pieces", (dtype) => {
  const perPiece = PIECE_BYTES / bytesPerElement[dtype];

  test.each([
    ["a piece but one element", perPiece - 1, 1],
    ["a piece", perPiece, 1],
    ["a piece and one element", perPiece + 1, 2],
    ["two pieces and three elements", 2 * perPiece + 3, 3],
  ])("%s", async (_, count, pieces) => {
    const bits = finiteBits(dtype, count);
    const source = recordingSource(FILE, fileOf(dtype, bits));
    expectMeanings(await load(source), dtype, bits);
    const lengths = source.reads.slice(3).map(({ length }) => length); // after length, header and last byte
    expect(lengths).toHaveLength(pieces);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(PIECE_BYTES);
  });

  test("a NaN on either side of the border is found where it is", async () => {
    for (const place of [perPiece - 1, perPiece, perPiece + 1]) {
      const bits = finiteBits(dtype, perPiece + 2);
      bits[place] = dtype === "F32" ? 0x7fc00000 : 0x7fff;
      await expect(load(recordingSource(FILE, fileOf(dtype, bits)))).rejects.toThrow(`w has NaN at element ${place},`);
    }
  });
});

describe("bytes that begin anywhere in a buffer", () => {
  const places = dtypes.flatMap((dtype) => [0, 1, 2, 3, 4, 5, 6, 7].map((place) => [dtype, place] as const));

  test.each(places)("%s at byte %d of a pooled Buffer", async (dtype, place) => {
    // A Buffer's `slice` is a view, not a copy: "start offset of Float32Array should be a multiple of 4" came out.
    const file = fileOf(dtype, finiteBits(dtype, 100));
    const expected = readSafetensors(file).get("w")!.data;
    const pool = Buffer.alloc(file.length + 16);
    const read: ByteSource["read"] = async (offset, length) => {
      file.subarray(offset, offset + length).forEach((byte, at) => {
        pool[place + at] = byte;
      });
      return pool.subarray(place, place + length);
    };
    expectExactly(await load({ name: FILE, size: file.length, read }), expected);
    const plain: ByteSource["read"] = async (offset, length) =>
      new Uint8Array(pool.buffer, (await read(offset, length)).byteOffset, length);
    expectExactly(await load({ name: FILE, size: file.length, read: plain }), expected);
  });
});

test("a source may hand out the same memory again and again", async () => {
  // So no more than one piece of a tensor is held at a time.
  const bits = finiteBits("F32", 3 * MIB);
  const file = fileOf("F32", bits);
  const memory = new Uint8Array(PIECE_BYTES);
  const read: ByteSource["read"] = async (offset, length) => {
    memory.fill(0xff); // NaN, should anyone still look at what lay here
    memory.set(file.subarray(offset, offset + length));
    return memory.subarray(0, length);
  };
  expectMeanings(await load({ name: FILE, size: file.length, read }), "F32", bits);
});
