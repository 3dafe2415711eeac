/**
 * exp and its family on four f32 lanes: sums, products and shifts only, so that both modules and every host give the same bits.
 * The errors stated are the largest that `test/ops/vector-math.test.ts` finds against f64, in ULP of the result.
 *
 * Constants lie in memory, four lanes each: V8 13.6 rebuilds a v128 constant at every use, in three instructions, and loads it in one.
 */

const CONSTANTS = memory.data<f32>([
  1.44269504088896341, 1.44269504088896341, 1.44269504088896341, 1.44269504088896341, // log₂ e
  // ln 2 in two parts: n times the first is exact for |n| ≤ 2¹⁰, since it ends in 10 zero bits.
  0.693359375, 0.693359375, 0.693359375, 0.693359375,
  -2.12194440e-4, -2.12194440e-4, -2.12194440e-4, -2.12194440e-4,
  // Added to a small number, 1.5 · 2²³ rounds it half to even into the low bits of the mantissa.
  12582912, 12582912, 12582912, 12582912,
  // Beyond these, exp leaves the normal f32 numbers.
  -87.33654, -87.33654, -87.33654, -87.33654,
  88.37626, 88.37626, 88.37626, 88.37626,
  // exp(r) = 1 + r + r² (c0 + c1 r + …) on |r| ≤ ½ ln 2, fitted at Chebyshev nodes: relative error 1.1e-8.
  0.5000000013502683, 0.5000000013502683, 0.5000000013502683, 0.5000000013502683,
  0.1666657682348883, 0.1666657682348883, 0.1666657682348883, 0.1666657682348883,
  0.041666464572034746, 0.041666464572034746, 0.041666464572034746, 0.041666464572034746,
  0.008363205467521602, 0.008363205467521602, 0.008363205467521602, 0.008363205467521602,
  0.001393368835714563, 0.001393368835714563, 0.001393368835714563, 0.001393368835714563,
  1, 1, 1, 1,
  2, 2, 2, 2,
  1.5957691216057308, 1.5957691216057308, 1.5957691216057308, 1.5957691216057308, // 2 √(2/π)
  0.07135481627159536, 0.07135481627159536, 0.07135481627159536, 0.07135481627159536, // 2 √(2/π) · 0.044715
], 16);

const LOG2_E: usize = 0;
const LN2_HIGH: usize = 16;
const LN2_LOW: usize = 32;
const ROUNDER: usize = 48;
const EXP_LEAST: usize = 64;
const EXP_MOST: usize = 80;
const EXP_COEFFICIENTS: usize = 96; // c0 … c4
const ONE: usize = 176;
const TWO: usize = 192;
const GELU_SLOPE: usize = 208;
const GELU_CUBIC: usize = 224;

// @ts-ignore: decorator
@inline function constant(at: usize): v128 {
  return v128.load(CONSTANTS + at);
}

/** The argument in the range that exp has normal results for. */
// @ts-ignore: decorator
@inline function clamped(x: v128): v128 {
  return f32x4.pmin(f32x4.pmax(x, constant(EXP_LEAST)), constant(EXP_MOST));
}

/** exp(r) − 1 for |r| ≤ ½ ln 2. Pairs first (Estrin): half as long a chain of operations that wait for each other as Horner's. */
// @ts-ignore: decorator
@inline function expm1Reduced(r: v128): v128 {
  const square = f32x4.mul(r, r);
  const low = f32x4.add(constant(EXP_COEFFICIENTS), f32x4.mul(constant(EXP_COEFFICIENTS + 16), r));
  const high = f32x4.add(constant(EXP_COEFFICIENTS + 32), f32x4.mul(constant(EXP_COEFFICIENTS + 48), r));
  const top = f32x4.add(high, f32x4.mul(constant(EXP_COEFFICIENTS + 64), square));
  return f32x4.add(r, f32x4.mul(square, f32x4.add(low, f32x4.mul(top, square))));
}

/** x · log₂ e to the nearest integer, in the low bits of a number that carries the rounder. */
// @ts-ignore: decorator
@inline function roundedExponent(x: v128): v128 {
  return f32x4.add(f32x4.mul(x, constant(LOG2_E)), constant(ROUNDER));
}

// @ts-ignore: decorator
@inline function reduced(x: v128, rounded: v128): v128 {
  const n = f32x4.sub(rounded, constant(ROUNDER));
  return f32x4.sub(f32x4.sub(x, f32x4.mul(n, constant(LN2_HIGH))), f32x4.mul(n, constant(LN2_LOW)));
}

/** 2ⁿ from the low bits of `rounded`: the integer becomes the exponent field, on top of that of 1. */
// @ts-ignore: decorator
@inline function powerOfTwo(rounded: v128): v128 {
  return i32x4.add(i32x4.shl(rounded, 23), constant(ONE));
}

/** eˣ.  Error ≤ 1.1 ULP from −87.3 to 88.3; beyond, the result is held at 1.2e-38 and 2.4e38. */
// @ts-ignore: decorator
@inline export function exp4(x: v128): v128 {
  const at = clamped(x);
  const rounded = roundedExponent(at);
  return f32x4.mul(f32x4.add(expm1Reduced(reduced(at, rounded)), constant(ONE)), powerOfTwo(rounded));
}

/** eˣ − 1 without cancellation near 0.  Error ≤ 1.9 ULP up to 88.3; beyond, the result is held at 2.4e38. */
// @ts-ignore: decorator
@inline export function expm14(x: v128): v128 {
  const at = clamped(x);
  const rounded = roundedExponent(at);
  const scale = powerOfTwo(rounded);
  return f32x4.add(f32x4.mul(expm1Reduced(reduced(at, rounded)), scale), f32x4.sub(scale, constant(ONE)));
}

/** 1 / (1 + e⁻ˣ).  Error ≤ 2.5 ULP from −87.3 on; below, the result is held at 4.2e-39. */
// @ts-ignore: decorator
@inline export function sigmoid4(x: v128): v128 {
  return f32x4.div(constant(ONE), f32x4.add(constant(ONE), exp4(f32x4.neg(x))));
}

/** tanh x = (e²ˣ − 1) / (e²ˣ + 1), on |x| with the sign put back, where nothing cancels.  Error ≤ 2.6 ULP. */
// @ts-ignore: decorator
@inline export function tanh4(x: v128): v128 {
  const magnitude = f32x4.abs(x);
  const e = expm14(f32x4.add(magnitude, magnitude));
  return v128.or(v128.xor(x, magnitude), f32x4.div(e, f32x4.add(e, constant(TWO))));
}

/**
 * ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))), written as x · σ(2 √(2/π) (x + …)).  Error ≤ 15 ULP where |gelu| ≥ 1e-3;
 * elsewhere ≤ 1.2e-9, and 4.2e-39 |x| at last.
 */
// @ts-ignore: decorator
@inline export function geluTanh4(x: v128): v128 {
  const slope = f32x4.add(f32x4.mul(f32x4.mul(x, x), constant(GELU_CUBIC)), constant(GELU_SLOPE));
  return f32x4.div(x, f32x4.add(constant(ONE), exp4(f32x4.neg(f32x4.mul(x, slope)))));
}

/** x · σ(x).  Error ≤ 2.5 ULP from −87.3 on; below, ≤ 4.2e-39 |x|. */
// @ts-ignore: decorator
@inline export function silu4(x: v128): v128 {
  return f32x4.div(x, f32x4.add(constant(ONE), exp4(f32x4.neg(x))));
}

/** The four lanes added up, in one fixed order. */
// @ts-ignore: decorator
@inline export function sum4(x: v128): f32 {
  const pairs = f32x4.add(x, i32x4.shuffle(x, x, 2, 3, 0, 1));
  return f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1);
}

/** Each function over `n` numbers, a multiple of 4: how the tests measure the errors above. 0 exp, 1 expm1, 2 σ, 3 tanh, 4 GELU, 5 SiLU. */
export function vectorMath(which: i32, x: usize, y: usize, n: i32): void {
  for (let end = x + (<usize>n << 2); x < end; x += 16, y += 16) {
    const at = v128.load(x);
    let value = at;
    if (which == 0) value = exp4(at);
    else if (which == 1) value = expm14(at);
    else if (which == 2) value = sigmoid4(at);
    else if (which == 3) value = tanh4(at);
    else if (which == 4) value = geluTanh4(at);
    else value = silu4(at);
    v128.store(y, value);
  }
}
