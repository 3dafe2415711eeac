/** Are bytes and values the ones of the format, and rounding that of IEEE 754? */
import { describe, expect, it } from "vitest";
import { type Dtype, type NamedTensor, readSafetensors, roundTo, writeSafetensors } from "./safetensors.ts";

/** The values of 16-bit patterns. */
function decode16(dtype: Dtype, patterns: Uint16Array): Float64Array {
  const bytes = writeSafetensors([
    { name: "x", dtype, shape: [patterns.length], data: new Float64Array(patterns.length) },
  ]);
  const payload = new DataView(bytes.buffer, bytes.length - 2 * patterns.length);
  patterns.forEach((pattern, i) => {
    payload.setUint16(2 * i, pattern, true);
  });
  return readSafetensors(bytes).get("x")!.data;
}

describe("safetensors", () => {
  it("writes a padded header, contiguous offsets and little-endian data, and reads them back", () => {
    const tensors: NamedTensor[] = [
      { name: "a", dtype: "F32", shape: [1, 3], data: Float64Array.of(1, -2.5, 2 ** -149) },
      { name: "b", dtype: "BF16", shape: [2], data: Float64Array.of(50.5, -0) },
      { name: "c", dtype: "F16", shape: [2], data: Float64Array.of(65504, 2 ** -24) },
      { name: "empty", dtype: "F32", shape: [0, 4], data: new Float64Array(0) },
    ];
    const bytes = writeSafetensors(tensors);
    const headerBytes = Number(new DataView(bytes.buffer).getBigUint64(0, true));
    const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerBytes)));
    expect(headerBytes % 8).toBe(0);
    expect(header.a).toEqual({ dtype: "F32", shape: [1, 3], data_offsets: [0, 12] });
    expect(header.b).toEqual({ dtype: "BF16", shape: [2], data_offsets: [12, 16] });
    expect(header.c).toEqual({ dtype: "F16", shape: [2], data_offsets: [16, 20] });
    expect([...bytes.subarray(8 + headerBytes)]).toEqual([
      0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0, 1, 0, 0, 0, 0x4a, 0x42, 0, 0x80, 0xff, 0x7b, 1, 0,
    ]);
    const read = readSafetensors(bytes);
    expect([...read.keys()]).toEqual(["a", "b", "c", "empty"]);
    for (const { name, shape, data } of tensors) expect(read.get(name)).toEqual({ shape, data });
  });

  it("reads from the middle of a buffer", () => {
    const bytes = writeSafetensors([{ name: "x", dtype: "F32", shape: [1], data: Float64Array.of(3) }]);
    const padded = new Uint8Array(bytes.length + 5);
    padded.set(bytes, 5);
    expect(readSafetensors(padded.subarray(5)).get("x")!.data[0]).toBe(3);
  });

  it.each<Dtype>(["BF16", "F16"])("writes every %s value as it was read", (dtype) => {
    const patterns = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const values = decode16(dtype, patterns);
    const bytes = writeSafetensors([{ name: "x", dtype, shape: [65536], data: values }]);
    const written = new DataView(bytes.buffer, bytes.length - 2 * 65536);
    let mismatches = 0;
    values.forEach((value, i) => {
      const pattern = written.getUint16(2 * i, true);
      const isSame = Number.isNaN(value) ? Number.isNaN(decode16(dtype, Uint16Array.of(pattern))[0]) : pattern === i;
      if (!isSame) mismatches++;
    });
    expect(mismatches).toBe(0);
  });

  it.each<Dtype>(["BF16", "F16"])("rounds to the nearest %s, and a tie to the even one", (dtype) => {
    const infinity = dtype === "BF16" ? 0x7f80 : 0x7c00;
    const values = decode16(
      dtype,
      Uint16Array.from({ length: infinity }, (_, i) => i),
    ); // ascending from 0
    for (let i = 0; i + 1 < infinity; i++) {
      const [low, high] = [values[i]!, values[i + 1]!];
      const middle = (low + high) / 2;
      const nudge = (high - low) * 2 ** -20; // below what f32 resolves at the tie: rounding twice would be caught
      expect(roundTo(dtype, middle)).toBe(i % 2 === 0 ? low : high);
      expect(roundTo(dtype, middle - nudge)).toBe(low);
      expect(roundTo(dtype, -middle - nudge)).toBe(-high);
    }
  });

  it("rounds to f32 as the machine does, and overflows from half a step above the largest value", () => {
    for (let i = 0; i < 20000; i++) {
      const x = Math.sin(i) * 2 ** ((i % 300) - 160);
      expect(roundTo("F32", x)).toBe(Math.fround(x));
    }
    expect(roundTo("F16", 65519.999)).toBe(65504);
    expect(roundTo("F16", 65520)).toBe(Infinity);
    expect(roundTo("F16", -1e300)).toBe(-Infinity);
    expect(roundTo("BF16", 3.4e38)).toBe(Infinity);
    expect(roundTo("BF16", Math.sqrt(2560))).toBe(50.5);
    expect(roundTo("F32", NaN)).toBeNaN();
  });

  it("refuses what it cannot hold", () => {
    const data = Float64Array.of(1);
    expect(() => writeSafetensors([{ name: "x", dtype: "F32", shape: [2], data }])).toThrow("x: shape 2");
    const bytes = writeSafetensors([{ name: "x", dtype: "F32", shape: [1], data }]);
    expect(() => readSafetensors(bytes.subarray(0, bytes.length - 1))).toThrow("x: bytes 0..4");
  });
});
