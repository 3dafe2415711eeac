/**
 * rg4: weights of 4 bits.   y[n] = rowScale[n] · Σ_groups xScale · Σ_blocks blockScale · Σ_k (nibble − 8) · q[k]
 *
 * One source, two modules over the same bytes, bit-identical: exact integers up to the f32 at the end of an activation group.
 *
 *    [tile of 16 rows][block of 32 k]  288 bytes = 4.5 bits a weight, read as one stream
 *      [g 0..3][r 0..3] 16 B    rows 4r … 4r+3, each k = 8g … 8g+7:
 *                                 row 4r         row 4r+1       row 4r+2       row 4r+3
 *                               ┌──┬──┬──┬──┬──┬──┬──┬──┬──┬──┬──┬──┬──┬──┬──┬──┐
 *                               │k0│k1│k2│k3│k0│k1│k2│k3│k0│k1│k2│k3│k0│k1│k2│k3│  low nibbles   weight + 8
 *                               │k4│k5│k6│k7│k4│k5│k6│k7│k4│k5│k6│k7│k4│k5│k6│k7│  high nibbles
 *                               └──┴──┴──┴──┴──┴──┴──┴──┴──┴──┴──┴──┴──┴──┴──┴──┘
 *      [16 rows][2] int8        block scales of 16 weights: k mod 4 in {0, 1}, k mod 4 in {2, 3}
 *    row scales: (N₁₆) f32 behind the last tile
 *
 * The activation's four bytes are splat, so that a lane is a row and nothing is summed across lanes. i16 lanes 2j and 2j+1 hold row
 * j's two halves of the block; they start at the seed −8 · Σ q and end within ±16 · 8 · 127 = 16256, whatever they wrap through on
 * the way, and one `dot_i16x8_s` with the pair of block scales folds them into i32.
 */

import { GROUP } from "./activations";
import { addGroup16, addScaled, dot16, nextBias, scaleRows, storeTile, SUM_BYTES, TILE_ROWS, TILE_TOKENS, zeroSixteen } from "./tile";

const RELAXED: bool = ASC_FEATURE_RELAXED_SIMD;
const BLOCK_BYTES: usize = 288;

// V8 rebuilds a v128 constant at every use, in three instructions; a value loaded from memory it keeps in a register.
const LOW_NIBBLES = memory.data<u8>([15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15], 16);
const LOW_NIBBLES_16 = memory.data<u16>([15, 15, 15, 15, 15, 15, 15, 15], 16);

/**
 * y (N₁₆) f32 = W (N K) · x (K) + bias. y has room for N rounded up to 16.
 *
 * W lies in two halves of whole tiles, the upper one not the smaller, each with its row scales behind it (weight-streams.ts). Their
 * tiles take turns, a group of each, so that what prefetchers bring of the one comes while the other is multiplied.
 */
export function rg4Matvec(upper: usize, lower: usize, bias: usize, q: usize, scales: usize, y: usize, N: i32, K: i32): void {
  const mask = v128.load(RELAXED ? LOW_NIBBLES : LOW_NIBBLES_16);
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
      addTileGroup(upper, x, s, to, size, mask);
      upper += blocks * BLOCK_BYTES;
      if (hasLower) {
        addTileGroup(lower, x, s, to + apart, size, mask);
        lower += blocks * BLOCK_BYTES;
      }
      x += blocks << (RELAXED ? 5 : 6);
      s += (blocks << 2) + 4;
    }
    to += 64;
  }
  scaleRows(y, upper, bias, upperTiles);
  scaleRows(y + apart, lower, nextBias(bias, apart), lowerTiles);
}

/** sums[16] f32 += scale · 16 rows · x over `size` k of one activation group. */
// @ts-ignore: decorator
@inline function addTileGroup(w: usize, x: usize, s: usize, sums: usize, size: i32, mask: v128): void {
  let i0 = i32x4.splat(0), i1 = i0, i2 = i0, i3 = i0;
  for (let b = 0; b < size; b += 32) {
    let a0 = v128.load32_splat(s), a1 = a0, a2 = a0, a3 = a0;
    for (let end = w + 256; w < end; w += 64) {
      const x0 = v128.load32_splat(x);
      const x1 = v128.load32_splat(x, 4);
      const x2 = RELAXED ? x0 : v128.load32_splat(x, 8);
      const x3 = RELAXED ? x1 : v128.load32_splat(x, 12);
      a0 = addNibbles(a0, v128.load(w), mask, x0, x1, x2, x3);
      a1 = addNibbles(a1, v128.load(w, 16), mask, x0, x1, x2, x3);
      a2 = addNibbles(a2, v128.load(w, 32), mask, x0, x1, x2, x3);
      a3 = addNibbles(a3, v128.load(w, 48), mask, x0, x1, x2, x3);
      x += RELAXED ? 8 : 16;
    }
    i0 = dot16(i0, a0, v128.load8x8_s(w));
    i1 = dot16(i1, a1, v128.load8x8_s(w, 8));
    i2 = dot16(i2, a2, v128.load8x8_s(w, 16));
    i3 = dot16(i3, a3, v128.load8x8_s(w, 24));
    w += 32;
    s += 4;
  }
  const scale = v128.load32_splat(s);
  addScaled(sums, i0, i1, scale);
  addScaled(sums + 32, i2, i3, scale);
}

/** y (B·N) = W_b (N K) · x_b + bias_b for B matrices, the halves of each behind those of the one before. K: a multiple of 32, N of 16. */
export function rg4BlockMatvec(
  upper: usize, lower: usize, bias: usize, q: usize, scales: usize, y: usize, B: i32, N: i32, K: i32,
): void {
  const tileBytes = (<usize>K >> 5) * BLOCK_BYTES + 64; // with its row scales
  const tiles = <usize>N >> 4;
  const upperTiles = (tiles + 1) >> 1;
  const scaleBytes = <usize>((K >> 5) + (K + GROUP - 1) / GROUP) << 2;
  for (let b = 0; b < B; b++) {
    rg4Matvec(upper, lower, bias, q, scales, y, N, K);
    upper += upperTiles * tileBytes;
    lower += (tiles - upperTiles) * tileBytes;
    q += RELAXED ? <usize>K : <usize>K << 1;
    scales += scaleBytes;
    y += <usize>N << 2;
    bias += <usize>N << 2;
  }
}

/** i16 sum += 8 weights of each of 4 rows.  relaxed: x0, x1 = k0…3, k4…7.  baseline: (k0 k2) (k1 k3) (k4 k6) (k5 k7). */
// @ts-ignore: decorator
@inline function addNibbles(sum: v128, w: v128, mask: v128, x0: v128, x1: v128, x2: v128, x3: v128): v128 {
  if (RELAXED) return dot8(dot8(sum, x0, v128.and(w, mask)), x1, v128.and(i16x8.shr_u(w, 4), mask));
  sum = i16x8.add(sum, i16x8.mul(x0, v128.and(w, mask)));
  sum = i16x8.add(sum, i16x8.mul(x2, v128.and(i16x8.shr_u(w, 4), mask)));
  sum = i16x8.add(sum, i16x8.mul(x1, v128.and(i16x8.shr_u(w, 8), mask)));
  return i16x8.add(sum, i16x8.mul(x3, i16x8.shr_u(w, 12)));
}

/** The weight must be the second operand, 0 … 127: hosts disagree about its top bit, and about nothing else. */
// @ts-ignore: decorator
@inline function dot8(sum: v128, x: v128, w: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i16x8.add(sum, i16x8.relaxed_dot_i8x16_i7x16_s(x, w));
  return unreachable();
}

/** Bytes that `rg4Gemm` needs at `scratch`: the tile's sums and the panel of 8 rows. */
export function rg4ScratchBytes(K: i32): usize {
  return SUM_BYTES + (<usize>(K + 31) >> 5) * PANEL_BLOCK_BYTES;
}

/** y (T N) f32 = x (T K) · Wᵀ + bias, activations in tiles of 4 tokens; `rowBytes` from one row of y to the next. */
export function rg4Gemm(
  w: usize, rowScales: usize, bias: usize, q: usize, scales: usize, y: usize, rowBytes: usize, N: i32, K: i32, T: i32, scratch: usize,
): void {
  const panel = scratch + SUM_BYTES;
  const tileBytes = (<usize>(K + 31) >> 5) * BLOCK_BYTES;
  for (let n = 0; n < N; n += TILE_ROWS) {
    const rows = w + <usize>(n >> 4) * tileBytes;
    if (RELAXED) unpackBytes(rows, n & 8, panel, K);
    else unpackScaledWords(rows, n & 8, panel, K);
    let x = q;
    let s = scales;
    for (let t = 0; t < T; t += TILE_TOKENS) {
      memory.fill(scratch, 0, SUM_BYTES);
      let p = panel;
      for (let k = 0; k < K; k += GROUP) {
        const size = min(GROUP, K - k);
        const blocks = <usize>(size + 31) >> 5;
        const groupScales = s + (blocks << 4);
        if (RELAXED) addGroup8(p, x, s, scratch, size);
        else addGroup16(p, x, groupScales, scratch, <i32>(blocks << 5));
        p += blocks * PANEL_BLOCK_BYTES;
        x += blocks << (RELAXED ? 7 : 8);
        s = groupScales + 16;
      }
      storeTile(scratch, rowScales, bias, y + <usize>t * rowBytes + (<usize>n << 2), rowBytes, min(T - t, TILE_TOKENS), min(N - n, TILE_ROWS));
    }
    rowScales += 32;
    bias = nextBias(bias, 32);
  }
}

/** relaxed panel block: [quad 0..7][2] 16 B nibbles as bytes, [2] i16x8 scales.  baseline: [pair of k][2] i16x8, scales multiplied in. */
const PANEL_BLOCK_BYTES: usize = RELAXED ? 288 : 512;

function unpackBytes(w: usize, firstRow: i32, panel: usize, K: i32): void {
  const mask = v128.load(LOW_NIBBLES);
  for (let k = 0; k < K; k += 32) {
    let p = w + (<usize>firstRow << 2);
    for (let end = panel + 256; panel < end; panel += 64) {
      const rowsA = v128.load(p);
      const rowsB = v128.load(p, 16);
      v128.store(panel, v128.and(rowsA, mask));
      v128.store(panel, v128.and(rowsB, mask), 16);
      v128.store(panel, v128.and(i16x8.shr_u(rowsA, 4), mask), 32);
      v128.store(panel, v128.and(i16x8.shr_u(rowsB, 4), mask), 48);
      p += 64;
    }
    v128.store(panel, v128.load8x8_s(w + (<usize>firstRow << 1), 256));
    v128.store(panel, v128.load8x8_s(w + (<usize>firstRow << 1), 264), 16);
    panel += 32;
    w += BLOCK_BYTES;
  }
}

/** addGroup16 with the block scale folded once per 32 k instead of multiplied in: products of bytes leave room for nothing else. */
function addGroup8(panel: usize, q: usize, seeds: usize, sum: usize, size: i32): void {
  let ia0 = i32x4.splat(0), ia1 = ia0, ia2 = ia0, ia3 = ia0, ib0 = ia0, ib1 = ia0, ib2 = ia0, ib3 = ia0;
  for (let b = 0; b < size; b += 32) {
    let a0 = v128.load32_splat(seeds), a1 = v128.load32_splat(seeds, 4), a2 = v128.load32_splat(seeds, 8), a3 = v128.load32_splat(seeds, 12);
    let b0 = a0, b1 = a1, b2 = a2, b3 = a3;
    for (let end = panel + 256; panel < end; panel += 32) {
      const rowsA = v128.load(panel);
      const rowsB = v128.load(panel, 16);
      const x0 = v128.load32_splat(q);
      const x1 = v128.load32_splat(q, 4);
      const x2 = v128.load32_splat(q, 8);
      const x3 = v128.load32_splat(q, 12);
      a0 = dot8(a0, x0, rowsA);
      b0 = dot8(b0, x0, rowsB);
      a1 = dot8(a1, x1, rowsA);
      b1 = dot8(b1, x1, rowsB);
      a2 = dot8(a2, x2, rowsA);
      b2 = dot8(b2, x2, rowsB);
      a3 = dot8(a3, x3, rowsA);
      b3 = dot8(b3, x3, rowsB);
      q += 16;
    }
    const scaleA = v128.load(panel);
    const scaleB = v128.load(panel, 16);
    ia0 = dot16(ia0, a0, scaleA);
    ib0 = dot16(ib0, b0, scaleB);
    ia1 = dot16(ia1, a1, scaleA);
    ib1 = dot16(ib1, b1, scaleB);
    ia2 = dot16(ia2, a2, scaleA);
    ib2 = dot16(ib2, b2, scaleB);
    ia3 = dot16(ia3, a3, scaleA);
    ib3 = dot16(ib3, b3, scaleB);
    panel += 32;
    seeds += 16;
  }
  addScaled(sum, ia0, ib0, v128.load32_splat(seeds));
  addScaled(sum + 32, ia1, ib1, v128.load32_splat(seeds, 4));
  addScaled(sum + 64, ia2, ib2, v128.load32_splat(seeds, 8));
  addScaled(sum + 96, ia3, ib3, v128.load32_splat(seeds, 12));
}

function unpackScaledWords(w: usize, firstRow: i32, panel: usize, K: i32): void {
  const mask = v128.load(LOW_NIBBLES_16);
  for (let k = 0; k < K; k += 32) {
    for (let half = 0; half < 2; half++) {
      const scale = v128.load8x8_s(w + (<usize>firstRow << 1) + (half << 3), 256);
      let p = w + (<usize>firstRow << 2) + (half << 4);
      let to = panel + (half << 4);
      for (let end = p + 256; p < end; p += 64) {
        const nibbles = v128.load(p);
        v128.store(to, scaled(v128.and(nibbles, mask), scale)); // k0 k2
        v128.store(to, scaled(v128.and(i16x8.shr_u(nibbles, 8), mask), scale), 32); // k1 k3
        v128.store(to, scaled(v128.and(i16x8.shr_u(nibbles, 4), mask), scale), 64); // k4 k6
        v128.store(to, scaled(i16x8.shr_u(nibbles, 12), scale), 96); // k5 k7
        to += 128;
      }
    }
    panel += PANEL_BLOCK_BYTES;
    w += BLOCK_BYTES;
  }
}

// @ts-ignore: decorator
@inline function scaled(nibbles: v128, scale: v128): v128 {
  return i16x8.mul(i16x8.sub(nibbles, i16x8.splat(8)), scale);
}

/** Row n of W as f32 (K), times `factor`: what `embed` reads. */
export function rg4Row(w: usize, rowScales: usize, n: i32, y: usize, K: i32, factor: f32): void {
  const rowScale = load<f32>(rowScales + (<usize>n << 2)) * factor;
  let block = w + <usize>(n >> 4) * (<usize>(K + 31) >> 5) * BLOCK_BYTES;
  for (let k = 0; k < K; k++) {
    const at = k & 31;
    const byte = load<u8>(block + <usize>((at >> 3) * 64 + (n & 15) * 4 + (at & 3)));
    const nibble = <i32>((byte >> <u8>(at & 4)) & 15) - 8;
    const blockScale = <i32>load<i8>(block + 256 + <usize>((n & 15) * 2 + ((at >> 1) & 1)));
    store<f32>(y + (<usize>k << 2), <f32>(nibble * blockScale) * rowScale);
    if (at == 31) block += BLOCK_BYTES;
  }
}
