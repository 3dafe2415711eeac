/** binary16 and f32: exact widening of four, and rounding of one to nearest, ties to even, as `dtype.ts` defines it. */

// In memory, because V8 13.6 rebuilds a v128 constant at every use.
const CONSTANTS = memory.data<u32>([
  0x8fffe000, 0x8fffe000, 0x8fffe000, 0x8fffe000, // sign, five bits of exponent and ten of mantissa of an f32
  0x77800000, 0x77800000, 0x77800000, 0x77800000, // 2¹¹² as f32: moves the exponent's bias from 15 to 127
], 16);

/** Four halves, sign-extended to i32 lanes. Finite numbers, subnormals included: multiplying by a power of two is exact. */
// @ts-ignore: decorator
@inline export function f16ToF32x4(halves: v128): v128 {
  return f32x4.mul(v128.and(i32x4.shl(halves, 13), v128.load(CONSTANTS)), v128.load(CONSTANTS, 16));
}

export function f32ToF16(x: f32): u16 {
  const bits = reinterpret<u32>(x);
  const sign = <u16>((bits >> 16) & 0x8000);
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return 0x7e00; // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // from 65,520 on
  // Below 2⁻¹⁴ a half counts steps of 2⁻²⁴, and so do the low bits of a number near ½.
  if (magnitude < 0x38800000) return sign | <u16>(reinterpret<u32>(reinterpret<f32>(magnitude) + 0.5) - 0x3f000000);
  const even = (magnitude >> 13) & 1;
  return sign | <u16>((magnitude - 0x38000000 + 0xfff + even) >> 13);
}
