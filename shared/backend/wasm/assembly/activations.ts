/**
 * Activations for the quantised matrix kernels: f32 rows → int8, with one f32 scale per group of 256 k (the last group may be shorter).
 *
 *    scale = max|x| / 127        q[k] = x[k] · 127 / max|x| to the nearest integer, half to even, −127 … 127
 *
 * S tokens are interleaved, so that one token's four bytes are splat with one load: S = 1 for matvec, 4 for GEMM. "Quad" = 4 k.
 *
 *    bytes  (rg4, relaxed)        [S tokens][quad][S] int8 k0 k1 k2 k3                     K bytes a token
 *    words  (baseline, rg8 GEMM)  [S tokens][quad][(k0 k2), (k1 k3)][S] 2 × int16          2K bytes a token
 *    signs  (rg8 relaxed matvec)  [quad][max(q, 0), max(−q, 0)] 4 × int8                   2K bytes, S = 1 alone
 *    scales                       [S tokens][group]{ [32-block][S] seed: 2 × int16, [S] f32 scale }
 *
 * A seed is −8 · Σ q over the block's k with k mod 4 in {0, 1} and in {2, 3}: it takes the nibbles' offset 8 out again (rg4.ts).
 */

export const GROUP = 256;

/** The forms of activations, drawn above. */
export const BYTES = 0;
export const WORDS = 1;
export const SIGNS = 2;

/** Below this a group counts as zero; 127 / max must stay finite. */
const SMALLEST: f32 = 1e-30;

/** Quantises x (T K). K counts as padded with zeros to a multiple of 32; slots of missing tokens in the last S are zero. */
export function quantise(
  x: usize, //        (T K) f32
  rowBytes: usize, // from one token's row to the next
  q: usize, //        ⌈T/S⌉ · S · K₃₂ bytes, twice that for words and signs
  scales: usize, //   ⌈T/S⌉ · S · (K₃₂/32 + ⌈K₃₂/256⌉) · 4 bytes
  T: i32,
  K: i32,
  S: i32,
  form: i32,
  padded: usize, //   room for one group of f32, used when K is no multiple of 32
): void {
  const blocks = (K + 31) >> 5;
  const groups = (K + GROUP - 1) / GROUP;
  const qBytes = <usize>(S * blocks * 32) << (form != BYTES ? 1 : 0);
  const scaleBytes = <usize>(S * (blocks + groups)) << 2;
  if (T % S) {
    const last = <usize>(T / S);
    memory.fill(q + last * qBytes, 0, qBytes);
    memory.fill(scales + last * scaleBytes, 0, scaleBytes);
  }
  for (let t = 0; t < T; t++) {
    const tile = <usize>(t / S);
    const slot = <usize>(t % S) << 2;
    quantiseToken(x, q + tile * qBytes + slot, scales + tile * scaleBytes + slot, K, <usize>S << 2, form, padded);
    x += rowBytes;
  }
}

/** One token (B·K), every K of which begin new blocks and groups: what the block-diagonal gates read. K: a multiple of 32. */
export function quantiseBlocks(x: usize, q: usize, scales: usize, B: i32, K: i32, form: i32): void {
  const groups = (K + GROUP - 1) / GROUP;
  for (let b = 0; b < B; b++) {
    quantiseToken(x, q, scales, K, 4, form, 0);
    x += <usize>K << 2;
    q += <usize>K << (form != BYTES ? 1 : 0);
    scales += <usize>((K >> 5) + groups) << 2;
  }
}

/** One token into its slot; `step` is the distance from one piece of 4 bytes to this token's next. */
function quantiseToken(x: usize, q: usize, scales: usize, K: i32, step: usize, form: i32, padded: usize): void {
  for (let k = 0; k < K; k += GROUP) {
    let size = min(GROUP, K - k);
    let from = x;
    if (size & 31) {
      memory.fill(padded, 0, GROUP * 4);
      memory.copy(padded, x, <usize>size << 2);
      from = padded;
      size = (size + 31) & ~31;
    }
    const largest = maxAbs(from, size);
    const inverse = f32x4.splat(largest > SMALLEST ? 127 / largest : 0);
    for (let b = 0; b < size; b += 32) {
      const q0 = roundEight(from, inverse);
      const q1 = roundEight(from + 32, inverse);
      const q2 = roundEight(from + 64, inverse);
      const q3 = roundEight(from + 96, inverse);
      storeSeed(scales, i16x8.add(i16x8.add(q0, q1), i16x8.add(q2, q3)));
      if (step == 4) {
        // One token: its pieces are neighbours.
        if (form == WORDS) {
          v128.store(q, evenThenOdd(q0));
          v128.store(q, evenThenOdd(q1), 16);
          v128.store(q, evenThenOdd(q2), 32);
          v128.store(q, evenThenOdd(q3), 48);
          q += 64;
        } else if (form == SIGNS) {
          storeSigns(q, i8x16.narrow_i16x8_s(q0, q1));
          storeSigns(q + 32, i8x16.narrow_i16x8_s(q2, q3));
          q += 64;
        } else {
          v128.store(q, i8x16.narrow_i16x8_s(q0, q1));
          v128.store(q, i8x16.narrow_i16x8_s(q2, q3), 16);
          q += 32;
        }
      } else if (form == WORDS) {
        scatter(q, step, evenThenOdd(q0));
        scatter(q + 4 * step, step, evenThenOdd(q1));
        scatter(q + 8 * step, step, evenThenOdd(q2));
        scatter(q + 12 * step, step, evenThenOdd(q3));
        q += 16 * step;
      } else {
        scatter(q, step, i8x16.narrow_i16x8_s(q0, q1));
        scatter(q + 4 * step, step, i8x16.narrow_i16x8_s(q2, q3));
        q += 8 * step;
      }
      scales += step;
      from += 128;
    }
    store<f32>(scales, largest > SMALLEST ? largest / 127 : 0);
    scales += step;
    x += GROUP * 4;
  }
}

/** `n`: a multiple of 16. pmax is one instruction where max is five, and four of them, because each waits for itself. */
function maxAbs(x: usize, n: i32): f32 {
  let a = f32x4.splat(0);
  let b = a;
  let c = a;
  let d = a;
  for (let end = x + (<usize>n << 2); x < end; x += 64) {
    a = f32x4.pmax(a, f32x4.abs(v128.load(x)));
    b = f32x4.pmax(b, f32x4.abs(v128.load(x, 16)));
    c = f32x4.pmax(c, f32x4.abs(v128.load(x, 32)));
    d = f32x4.pmax(d, f32x4.abs(v128.load(x, 48)));
  }
  const m = f32x4.pmax(f32x4.pmax(a, b), f32x4.pmax(c, d));
  return max(
    max(f32x4.extract_lane(m, 0), f32x4.extract_lane(m, 1)),
    max(f32x4.extract_lane(m, 2), f32x4.extract_lane(m, 3)),
  );
}

/** 1.5 · 2²³: added to a small number it rounds it half to even into the low bits, an integer relative to these bits. */
const ROUNDER: f32 = 12582912;
const ROUNDER_BITS = 0x4b400000;

/** Eight activations as i16. */
// @ts-ignore: decorator
@inline function roundEight(x: usize, inverse: v128): v128 {
  const low = f32x4.add(f32x4.mul(v128.load(x), inverse), f32x4.splat(ROUNDER));
  const high = f32x4.add(f32x4.mul(v128.load(x, 16), inverse), f32x4.splat(ROUNDER));
  return i16x8.narrow_i32x4_s(i32x4.sub(low, i32x4.splat(ROUNDER_BITS)), i32x4.sub(high, i32x4.splat(ROUNDER_BITS)));
}

/** k0 … k7 → (k0 k2) (k1 k3) (k4 k6) (k5 k7) */
// @ts-ignore: decorator
@inline function evenThenOdd(eight: v128): v128 {
  return i16x8.shuffle(eight, eight, 0, 2, 1, 3, 4, 6, 5, 7);
}

// @ts-ignore: decorator
@inline function scatter(to: usize, step: usize, fourPieces: v128): void {
  v128.store32_lane(to, fourPieces, 0);
  v128.store32_lane(to + step, fourPieces, 1);
  v128.store32_lane(to + 2 * step, fourPieces, 2);
  v128.store32_lane(to + 3 * step, fourPieces, 3);
}

/** Four quads: of each the positive numbers, then the negative ones without their sign. */
// @ts-ignore: decorator
@inline function storeSigns(to: usize, sixteen: v128): void {
  const positive = i8x16.max_s(sixteen, i8x16.splat(0));
  const negative = i8x16.max_s(i8x16.neg(sixteen), i8x16.splat(0));
  v128.store(to, i32x4.shuffle(positive, negative, 0, 4, 1, 5));
  v128.store(to, i32x4.shuffle(positive, negative, 2, 6, 3, 7), 16);
}

/** `sums`: the block's activations added up by k mod 8, each at most 4 · 127. */
// @ts-ignore: decorator
@inline function storeSeed(to: usize, sums: v128): void {
  const pairs = i32x4.dot_i16x8_s(sums, i16x8.splat(-8)); // −8 · Σ of k mod 8 in {0, 1}, {2, 3}, {4, 5}, {6, 7}
  store<i16>(to, <i16>(i32x4.extract_lane(pairs, 0) + i32x4.extract_lane(pairs, 2)));
  store<i16>(to, <i16>(i32x4.extract_lane(pairs, 1) + i32x4.extract_lane(pairs, 3)), 2);
}
