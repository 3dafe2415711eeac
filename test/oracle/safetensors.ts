/** How does a test read and write safetensors?  A small reader and writer of the format, for tests only.
 *
 *    u64 little-endian n | n bytes of JSON header, padded with spaces | tensor data, little-endian, row-major
 *
 *  Values are f64 in memory; F32, BF16 and F16 are rounded to nearest, ties to even, on the way out. */

export type Dtype = "F32" | "BF16" | "F16";

/** A dense row-major tensor. */
export interface Tensor {
  shape: number[];
  data: Float64Array;
}

/** A tensor to be stored, and the type to store it in. */
export interface NamedTensor extends Tensor {
  name: string;
  dtype: Dtype;
}

interface HeaderEntry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** Bits after the binary point, smallest normal exponent and largest finite value of each type. */
const FORMATS = {
  F32: { bytes: 4, fractionBits: 23, minExponent: -126, max: (2 - 2 ** -23) * 2 ** 127 },
  BF16: { bytes: 2, fractionBits: 7, minExponent: -126, max: (2 - 2 ** -7) * 2 ** 127 },
  F16: { bytes: 2, fractionBits: 10, minExponent: -14, max: (2 - 2 ** -10) * 2 ** 15 },
} as const satisfies Record<Dtype, object>;

const HEADER_LENGTH_BYTES = 8;

export function readSafetensors(bytes: Uint8Array): Map<string, Tensor> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const dataStart = HEADER_LENGTH_BYTES + Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(HEADER_LENGTH_BYTES, dataStart)));
  const tensors = new Map<string, Tensor>();
  for (const [name, entry] of Object.entries<HeaderEntry>(header)) {
    if (name === "__metadata__") continue;
    const { dtype, shape, data_offsets } = entry;
    if (!isDtype(dtype)) throw new Error(`${name}: dtype ${dtype} is not one of F32, BF16, F16`);
    const count = elementCount(shape);
    const width = FORMATS[dtype].bytes;
    const [begin, end] = data_offsets;
    if (end - begin !== count * width || dataStart + end > bytes.length) {
      throw new Error(`${name}: bytes ${begin}..${end} do not hold ${shape.join("×")} ${dtype}`);
    }
    const data = new Float64Array(count);
    for (let i = 0; i < count; i++) data[i] = load(view, dataStart + begin + i * width, dtype);
    tensors.set(name, { shape, data });
  }
  return tensors;
}

export function writeSafetensors(tensors: Iterable<NamedTensor>): Uint8Array {
  const list = [...tensors];
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let dataBytes = 0;
  for (const { name, dtype, shape, data } of list) {
    if (elementCount(shape) !== data.length) {
      throw new Error(`${name}: shape ${shape.join("×")} does not hold ${data.length} values`);
    }
    const end = dataBytes + data.length * FORMATS[dtype].bytes;
    header[name] = { dtype, shape, data_offsets: [dataBytes, end] };
    dataBytes = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const headerBytes = Math.ceil(json.length / 8) * 8;
  const dataStart = HEADER_LENGTH_BYTES + headerBytes;
  const bytes = new Uint8Array(dataStart + dataBytes);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, BigInt(headerBytes), true);
  bytes.fill(" ".charCodeAt(0), HEADER_LENGTH_BYTES, dataStart);
  bytes.set(json, HEADER_LENGTH_BYTES);
  let offset = dataStart;
  for (const { dtype, data } of list) {
    for (const value of data) {
      store(view, offset, dtype, value);
      offset += FORMATS[dtype].bytes;
    }
  }
  return bytes;
}

/** The value of `dtype` nearest to x, ties to even; subnormals are kept and overflow is ±∞, as in IEEE 754. */
export function roundTo(dtype: Dtype, x: number): number {
  if (x === 0 || !Number.isFinite(x)) return x;
  const { fractionBits, minExponent, max } = FORMATS[dtype];
  const size = Math.abs(x);
  if (size >= 2 * max) return Math.sign(x) * Infinity;
  const quantum = 2 ** (Math.max(exponentOf(size), minExponent) - fractionBits);
  // At 2^52 quanta an f64 has no bits left below one quantum, so the addition itself rounds, ties to even.
  const shift = 2 ** 52 * quantum;
  const rounded = size + shift - shift;
  const result = rounded > max ? Infinity : rounded;
  return x < 0 ? -result : result;
}

function load(view: DataView, offset: number, dtype: Dtype): number {
  switch (dtype) {
    case "F32":
      return view.getFloat32(offset, true);
    case "BF16":
      return f32OfBits(view.getUint16(offset, true) << 16);
    case "F16":
      return f16OfBits(view.getUint16(offset, true));
    default:
      return dtype satisfies never;
  }
}

function store(view: DataView, offset: number, dtype: Dtype, value: number): void {
  const rounded = roundTo(dtype, value);
  if (dtype === "F32") view.setFloat32(offset, rounded, true);
  else view.setUint16(offset, dtype === "BF16" ? bitsOfF32(rounded) >>> 16 : bitsOfF16(rounded), true);
}

function f16OfBits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The bits of a value that f16 represents exactly. */
function bitsOfF16(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size === Infinity) return sign | 0x7c00;
  if (size < 2 ** -14) return sign | (size * 2 ** 24);
  const exponent = exponentOf(size);
  return sign | ((exponent + 15) << 10) | ((size / 2 ** exponent - 1) * 1024);
}

const scratch = new DataView(new ArrayBuffer(8));

/** ⌊log₂ size⌋ of a positive normal f64, exactly. */
function exponentOf(size: number): number {
  scratch.setFloat64(0, size);
  return (scratch.getUint16(0) >> 4) - 1023;
}

function f32OfBits(bits: number): number {
  scratch.setInt32(0, bits);
  return scratch.getFloat32(0);
}

function bitsOfF32(value: number): number {
  scratch.setFloat32(0, value);
  return scratch.getUint32(0);
}

function isDtype(dtype: string): dtype is Dtype {
  return Object.hasOwn(FORMATS, dtype);
}

export function elementCount(shape: number[]): number {
  return shape.reduce((count, size) => count * size, 1);
}
