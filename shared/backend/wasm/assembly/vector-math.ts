/**
 * exp and its family on four f32 lanes: sums, products and shifts only, so that both modules and every host give the same bits.
 * The errors stated are the largest that `test/ops/vector-math.test.ts` measures against f64, in ULP of the result.
 */

const LOG2_E: f32 = 1.44269504088896341;
// ln 2 in two parts: n · LN2_HIGH is exact for |n| ≤ 2¹⁰, since it has 10 trailing zero bits.
const LN2_HIGH: f32 = 0.693359375;
const LN2_LOW: f32 = -2.12194440e-4;

// Beyond these, exp leaves the normal f32 numbers.
const EXP_LEAST: f32 = -87.33654;
const EXP_MOST: f32 = 88.37626;

// Adding 1.5 · 2²³ rounds a small number to the nearest integer, half to even, into the low bits of the mantissa.
const ROUNDER: f32 = 12582912;

/** The argument in the range that `exp4` and `expm14` are exact for. */
// @ts-ignore: decorator
@inline function clamped(x: v128): v128 {
  return f32x4.pmin(f32x4.pmax(x, f32x4.splat(EXP_LEAST)), f32x4.splat(EXP_MOST));
}

/** exp(r) − 1 for |r| ≤ ½ ln 2: r + r² (½ + r/6 + …).  Coefficients: Cephes expf, minimax. */
// @ts-ignore: decorator
@inline function expm1Reduced(r: v128): v128 {
  let p = f32x4.splat(1.9875691500e-4);
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.3981999507e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(8.3334519073e-3));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(4.1665795894e-2));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(1.6666665459e-1));
  p = f32x4.add(f32x4.mul(p, r), f32x4.splat(0.5));
  return f32x4.add(f32x4.mul(f32x4.mul(p, r), r), r);
}

/** x · log₂ e to the nearest integer, in the low bits of a number that carries `ROUNDER`. */
// @ts-ignore: decorator
@inline function roundedExponent(x: v128): v128 {
  return f32x4.add(f32x4.mul(x, f32x4.splat(LOG2_E)), f32x4.splat(ROUNDER));
}

// @ts-ignore: decorator
@inline function reduced(x: v128, rounded: v128): v128 {
  const n = f32x4.sub(rounded, f32x4.splat(ROUNDER));
  return f32x4.sub(f32x4.sub(x, f32x4.mul(n, f32x4.splat(LN2_HIGH))), f32x4.mul(n, f32x4.splat(LN2_LOW)));
}

/** 2ⁿ from the low bits of `rounded`: the integer becomes the exponent field. */
// @ts-ignore: decorator
@inline function powerOfTwo(rounded: v128): v128 {
  return i32x4.add(i32x4.shl(rounded, 23), i32x4.splat(0x3f800000));
}

/** eˣ; what would under- or overflow is held at the ends of the normal range.  Error ≤ 2 ULP. */
// @ts-ignore: decorator
@inline export function exp4(x: v128): v128 {
  const at = clamped(x);
  const rounded = roundedExponent(at);
  const p = expm1Reduced(reduced(at, rounded));
  return f32x4.mul(f32x4.add(p, f32x4.splat(1)), powerOfTwo(rounded));
}

/** eˣ − 1 without cancellation near 0.  Error ≤ 3 ULP. */
// @ts-ignore: decorator
@inline export function expm14(x: v128): v128 {
  const at = clamped(x);
  const rounded = roundedExponent(at);
  const p = expm1Reduced(reduced(at, rounded));
  const scale = powerOfTwo(rounded);
  return f32x4.add(f32x4.mul(p, scale), f32x4.sub(scale, f32x4.splat(1)));
}

/** 1 / (1 + e⁻ˣ).  Error ≤ 3 ULP. */
// @ts-ignore: decorator
@inline export function sigmoid4(x: v128): v128 {
  return f32x4.div(f32x4.splat(1), f32x4.add(f32x4.splat(1), exp4(f32x4.neg(x))));
}

/** tanh x = (e²ˣ − 1) / (e²ˣ + 1), on |x| with the sign put back, where nothing cancels.  Error ≤ 4 ULP. */
// @ts-ignore: decorator
@inline export function tanh4(x: v128): v128 {
  const sign = v128.and(x, i32x4.splat(0x80000000));
  const e = expm14(f32x4.mul(f32x4.abs(x), f32x4.splat(2)));
  return v128.or(sign, f32x4.div(e, f32x4.add(e, f32x4.splat(2))));
}

const GELU_SLOPE: f32 = 1.5957691216057308; //  2 √(2/π)
const GELU_CUBIC: f32 = 0.07135481627159536; // 2 √(2/π) · 0.044715

/** ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))), written as x · σ(2 √(2/π) (x + …)).  Error ≤ 12 ULP where |gelu| ≥ 1e-3. */
// @ts-ignore: decorator
@inline export function geluTanh4(x: v128): v128 {
  const cubic = f32x4.add(f32x4.mul(f32x4.mul(x, x), f32x4.splat(GELU_CUBIC)), f32x4.splat(GELU_SLOPE));
  return f32x4.mul(x, sigmoid4(f32x4.mul(x, cubic)));
}

/** x · σ(x).  Error ≤ 4 ULP. */
// @ts-ignore: decorator
@inline export function silu4(x: v128): v128 {
  return f32x4.mul(x, sigmoid4(x));
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
