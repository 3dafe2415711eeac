/** Number formats that weights and rings are stored in, and exact conversions between them and f32. */

const scratch = new DataView(new ArrayBuffer(4));

function f32Bits(x: number): number {
  scratch.setFloat32(0, x);
  return scratch.getUint32(0);
}

function bitsF32(bits: number): number {
  scratch.setUint32(0, bits);
  return scratch.getFloat32(0);
}

/** A bfloat16 is the upper half of an f32. */
export const bf16ToF32 = (half: number): number => bitsF32(half << 16);

/** To the nearest bfloat16, ties to even. NaN stays NaN. */
export function f32ToBf16(x: number): number {
  const bits = f32Bits(x);
  if (Number.isNaN(x)) return (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** IEEE 754 binary16 to f32, exactly, subnormals included. */
export function f16ToF32(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction * 2 ** -10) * 2 ** (exponent - 15);
}

/** To the nearest binary16, ties to even; beyond 65,504 + half a step to infinity. */
export function f32ToF16(x: number): number {
  const sign = (f32Bits(x) >>> 16) & 0x8000;
  if (Number.isNaN(x)) return 0x7e00;
  const magnitude = Math.abs(x);
  if (magnitude >= 65_520) return sign | 0x7c00;
  // Below 2⁻¹⁴ the spacing is that of the subnormals; above, 10 bits under the leading one.
  const exponent = magnitude < 2 ** -14 ? -14 : Math.floor(Math.log2(magnitude));
  const steps = roundToEven(magnitude / 2 ** (exponent - 10)); // an exact division: by a power of two
  // `steps` counts from 0 (subnormal) or 1024 (normal); a carry to 2048 rolls over into the exponent by itself.
  return exponent === -14 && steps < 1024 ? sign | steps : sign | (((exponent + 15) << 10) + (steps - 1024));
}

/** To the nearest integer, ties to even, as WebAssembly's `nearest` does. */
export function roundToEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}
