/**
 * rg8: weights of 8 bits.   y[n] = rowScale[n] · Σ_groups xScale · Σ_blocks blockScale · Σ_k weight · q[k].  Exact integers in both modules.
 *
 *    [tile of 16 rows][block of 32 k]  528 bytes = 8.25 bits a weight, read as one stream
 *      [quad 0..7][r 0..3] 16 B   rows 4r … 4r+3, each k = 4 quad … 4 quad + 3:
 *                               ┌──┬──┬──┬──┬──┬──┬──┬──┬──┬──┬──┬──┬──┬──┬──┬──┐
 *                               │k0│k1│k2│k3│k0│k1│k2│k3│k0│k1│k2│k3│k0│k1│k2│k3│  int8, −127 … 127
 *                               └──┴──┴──┴──┴──┴──┴──┴──┴──┴──┴──┴──┴──┴──┴──┴──┘
 *      [16 rows] int8             block scales of 32 weights, 0 … 127
 *    row scales: (N₁₆) f32 behind the last tile
 *
 * An activation's four numbers are splat, so that an i32 lane is a row. A group is exact in i32: 256 · 127 · 127 · 127 < 2³⁰.
 * - Baseline, and every GEMM: two shifts give the even and the odd bytes as i16, for `dot_i16x8_s` with (k0 k2) and (k1 k3).
 * - Relaxed matvec: the relaxed dots multiply bytes, if one side has 7 bits without a sign. Positive and negative activations apart
 *   have that: Σ w · q = Σ w · max(q, 0) − Σ w · max(−q, 0). No shifts; where the host adds four products to an i32 in one
 *   instruction (VNNI or its like), nothing but dots. Elsewhere pairs of products become i16, at most 2 · 127 · 127 either way and
 *   so in their difference, and `dot_i16x8_s` with ones adds them up. A dot that adds pairs first saturates, which tells.
 */

import { GROUP } from "./activations";
import { addGroup16, addScaled, dot16, nextBias, scaleRows, storeTile, SUM_BYTES, TILE_ROWS, TILE_TOKENS, zeroSixteen } from "./tile";

const RELAXED: bool = ASC_FEATURE_RELAXED_SIMD;
const BLOCK_BYTES: usize = 528;
const PANEL_BLOCK_BYTES: usize = 512;

// How a matvec multiplies.
const BY_QUADS = 0;
const BY_PAIRS = 1;
const BY_WORDS = 2;

// Loaded, so that it stays in a register (rg4.ts).
const ONES = memory.data<i16>([1, 1, 1, 1, 1, 1, 1, 1], 16);

/** Whether the host has dots. Measured once, when the module is instantiated. */
const HAS_DOTS: bool = RELAXED && dotIsOneInstruction();

/** 4 · 127 · 255 where bytes are multiplied and added in one go (signed, on ARM: −508); 2 · 32767 where pairs are added in i16 first. */
function dotIsOneInstruction(): bool {
  const sum = dotQuads(i32x4.splat(0), i8x16.splat(127), i8x16.splat(-1));
  return i32x4.extract_lane(sum, 0) != 65534;
}

/** y (N₁₆) f32 = W (N K) · x (K) + bias. y has room for N rounded up to 16. In two halves, as in rg4.ts. */
export function rg8Matvec(upper: usize, lower: usize, bias: usize, q: usize, scales: usize, y: usize, N: i32, K: i32): void {
  if (!RELAXED) matvec(BY_WORDS, upper, lower, bias, q, scales, y, N, K);
  else if (HAS_DOTS) matvecByQuads(upper, lower, bias, q, scales, y, N, K);
  else matvecByPairs(upper, lower, bias, q, scales, y, N, K);
}

function matvecByQuads(upper: usize, lower: usize, bias: usize, q: usize, scales: usize, y: usize, N: i32, K: i32): void {
  matvec(BY_QUADS, upper, lower, bias, q, scales, y, N, K);
}

function matvecByPairs(upper: usize, lower: usize, bias: usize, q: usize, scales: usize, y: usize, N: i32, K: i32): void {
  matvec(BY_PAIRS, upper, lower, bias, q, scales, y, N, K);
}

// @ts-ignore: decorator
@inline function matvec(
  way: i32, upper: usize, lower: usize, bias: usize, q: usize, scales: usize, y: usize, N: i32, K: i32,
): void {
  const tiles = (N + 15) >> 4;
  const upperTiles = (tiles + 1) >> 1;
  const lowerTiles = tiles - upperTiles;
  const apart = <usize>upperTiles << 6;
  let to = y;
  for (let n = 0; n < upperTiles; n++) {
    const hasLower = n < lowerTiles;
    zeroSixteen(to);
    if (hasLower) zeroSixteen(to + apart);
    let x = q;
    let s = scales;
    for (let k = 0; k < K; k += GROUP) {
      const size = min(GROUP, K - k);
      const blocks = <usize>(size + 31) >> 5;
      const scale = v128.load32_splat(s + (blocks << 2)); // past the blocks' seeds, which only rg4 needs
      addTileGroup(way, upper, x, scale, to, size);
      upper += blocks * BLOCK_BYTES;
      if (hasLower) {
        addTileGroup(way, lower, x, scale, to + apart, size);
        lower += blocks * BLOCK_BYTES;
      }
      x += blocks << 6;
      s += (blocks << 2) + 4;
    }
    to += 64;
  }
  scaleRows(y, upper, bias, upperTiles);
  scaleRows(y + apart, lower, nextBias(bias, apart), lowerTiles);
}

/** sums[16] f32 += scale · 16 rows · x over `size` k of one activation group. */
// @ts-ignore: decorator
@inline function addTileGroup(way: i32, w: usize, x: usize, scale: v128, sums: usize, size: i32): void {
  const ones = v128.load(ONES);
  let i0 = i32x4.splat(0), i1 = i0, i2 = i0, i3 = i0;
  for (let b = 0; b < size; b += 32) {
    let a0 = i32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
    for (let end = w + 512; w < end; w += 64) {
      const xa = v128.load32_splat(x);
      const xb = v128.load32_splat(x, 4);
      const w0 = v128.load(w);
      const w1 = v128.load(w, 16);
      const w2 = v128.load(w, 32);
      const w3 = v128.load(w, 48);
      if (way == BY_QUADS) {
        a0 = dotQuads(a0, w0, xa);
        a1 = dotQuads(a1, w1, xa);
        a2 = dotQuads(a2, w2, xa);
        a3 = dotQuads(a3, w3, xa);
        b0 = dotQuads(b0, w0, xb);
        b1 = dotQuads(b1, w1, xb);
        b2 = dotQuads(b2, w2, xb);
        b3 = dotQuads(b3, w3, xb);
      } else if (way == BY_PAIRS) {
        a0 = dot16(a0, pairs(w0, xa, xb), ones);
        a1 = dot16(a1, pairs(w1, xa, xb), ones);
        a2 = dot16(a2, pairs(w2, xa, xb), ones);
        a3 = dot16(a3, pairs(w3, xa, xb), ones);
      } else {
        a0 = dot16(dot16(a0, evenBytes(w0), xa), oddBytes(w0), xb);
        a1 = dot16(dot16(a1, evenBytes(w1), xa), oddBytes(w1), xb);
        a2 = dot16(dot16(a2, evenBytes(w2), xa), oddBytes(w2), xb);
        a3 = dot16(dot16(a3, evenBytes(w3), xa), oddBytes(w3), xb);
      }
      x += 8;
    }
    if (way == BY_QUADS) {
      a0 = i32x4.sub(a0, b0);
      a1 = i32x4.sub(a1, b1);
      a2 = i32x4.sub(a2, b2);
      a3 = i32x4.sub(a3, b3);
    }
    // Behind the weights, where they lie: read before them, they would break the stream.
    const scales8 = v128.load(w);
    const scales07 = i16x8.extend_low_i8x16_s(scales8);
    const scales8F = i16x8.extend_high_i8x16_s(scales8);
    i0 = i32x4.add(i0, i32x4.mul(a0, i32x4.extend_low_i16x8_s(scales07)));
    i1 = i32x4.add(i1, i32x4.mul(a1, i32x4.extend_high_i16x8_s(scales07)));
    i2 = i32x4.add(i2, i32x4.mul(a2, i32x4.extend_low_i16x8_s(scales8F)));
    i3 = i32x4.add(i3, i32x4.mul(a3, i32x4.extend_high_i16x8_s(scales8F)));
    w += 16;
  }
  addScaled(sums, i0, i1, scale);
  addScaled(sums + 32, i2, i3, scale);
}

/** y (B·N) = W_b (N K) · x_b + bias_b for B matrices, the halves of each behind those of the one before. K: a multiple of 32, N of 16. */
export function rg8BlockMatvec(
  upper: usize, lower: usize, bias: usize, q: usize, scales: usize, y: usize, B: i32, N: i32, K: i32,
): void {
  const tileBytes = (<usize>K >> 5) * BLOCK_BYTES + 64; // with its row scales
  const tiles = <usize>N >> 4;
  const upperTiles = (tiles + 1) >> 1;
  const scaleBytes = <usize>((K >> 5) + (K + GROUP - 1) / GROUP) << 2;
  for (let b = 0; b < B; b++) {
    rg8Matvec(upper, lower, bias, q, scales, y, N, K);
    upper += upperTiles * tileBytes;
    lower += (tiles - upperTiles) * tileBytes;
    q += <usize>K << 1;
    scales += scaleBytes;
    y += <usize>N << 2;
    bias += <usize>N << 2;
  }
}

// @ts-ignore: decorator
@inline function evenBytes(w: v128): v128 {
  return i16x8.shr_s(i16x8.shl(w, 8), 8);
}

// @ts-ignore: decorator
@inline function oddBytes(w: v128): v128 {
  return i16x8.shr_s(w, 8);
}

/** The activation must be the second operand, 0 … 127: hosts disagree about its top bit, and about nothing else. */
// @ts-ignore: decorator
@inline function dotQuads(sum: v128, w: v128, x: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i32x4.relaxed_dot_i8x16_i7x16_add_s(w, x, sum);
  return unreachable();
}

/** w · q of two neighbours, as i16. */
// @ts-ignore: decorator
@inline function pairs(w: v128, positive: v128, negative: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD)
    return i16x8.sub(i16x8.relaxed_dot_i8x16_i7x16_s(w, positive), i16x8.relaxed_dot_i8x16_i7x16_s(w, negative));
  return unreachable();
}

/** Bytes that `rg8Gemm` needs at `scratch`. */
export function rg8ScratchBytes(K: i32): usize {
  return SUM_BYTES + (<usize>(K + 31) >> 5) * PANEL_BLOCK_BYTES;
}

/** y (T N) f32 = x (T K) · Wᵀ + bias. Block scales go into the i16 panel, so the inner loop is nothing but dot and add. */
export function rg8Gemm(
  w: usize, rowScales: usize, bias: usize, q: usize, scales: usize, y: usize, rowBytes: usize, N: i32, K: i32, T: i32, scratch: usize,
): void {
  const panel = scratch + SUM_BYTES;
  const tileBytes = (<usize>(K + 31) >> 5) * BLOCK_BYTES;
  for (let n = 0; n < N; n += TILE_ROWS) {
    unpackScaledWords(w + <usize>(n >> 4) * tileBytes, n & 8, panel, K);
    let x = q;
    let s = scales;
    for (let t = 0; t < T; t += TILE_TOKENS) {
      memory.fill(scratch, 0, SUM_BYTES);
      let p = panel;
      for (let k = 0; k < K; k += GROUP) {
        const blocks = <usize>(min(GROUP, K - k) + 31) >> 5;
        s += blocks << 4; // past the seeds
        addGroup16(p, x, s, scratch, <i32>(blocks << 5));
        p += blocks * PANEL_BLOCK_BYTES;
        x += blocks << 8;
        s += 16;
      }
      storeTile(scratch, rowScales, bias, y + <usize>t * rowBytes + (<usize>n << 2), rowBytes, min(T - t, TILE_TOKENS), min(N - n, TILE_ROWS));
    }
    rowScales += 32;
    bias = nextBias(bias, 32);
  }
}

function unpackScaledWords(w: usize, firstRow: i32, panel: usize, K: i32): void {
  for (let k = 0; k < K; k += 32) {
    const scales = v128.load8x8_s(w + firstRow, 512);
    const scaleA = i16x8.shuffle(scales, scales, 0, 0, 1, 1, 2, 2, 3, 3);
    const scaleB = i16x8.shuffle(scales, scales, 4, 4, 5, 5, 6, 6, 7, 7);
    let p = w + (<usize>firstRow << 2);
    for (let end = p + 512; p < end; p += 64) {
      const rowsA = v128.load(p);
      const rowsB = v128.load(p, 16);
      v128.store(panel, i16x8.mul(evenBytes(rowsA), scaleA));
      v128.store(panel, i16x8.mul(evenBytes(rowsB), scaleB), 16);
      v128.store(panel, i16x8.mul(oddBytes(rowsA), scaleA), 32);
      v128.store(panel, i16x8.mul(oddBytes(rowsB), scaleB), 48);
      panel += 64;
    }
    w += BLOCK_BYTES;
  }
}

/** Row n of W as f32 (K), times `factor`: what `embed` reads. */
export function rg8Row(w: usize, rowScales: usize, n: i32, y: usize, K: i32, factor: f32): void {
  const rowScale = load<f32>(rowScales + (<usize>n << 2)) * factor;
  let block = w + <usize>(n >> 4) * (<usize>(K + 31) >> 5) * BLOCK_BYTES;
  for (let k = 0; k < K; k++) {
    const at = k & 31;
    const weight = <i32>load<i8>(block + <usize>((at >> 2) * 64 + (n & 15) * 4 + (at & 3)));
    const blockScale = <i32>load<i8>(block + 512 + <usize>(n & 15));
    store<f32>(y + (<usize>k << 2), <f32>(weight * blockScale) * rowScale);
    if (at == 31) block += BLOCK_BYTES;
  }
}
