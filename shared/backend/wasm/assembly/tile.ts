/**
 * The register tile of the quantised GEMMs: 8 rows (2 vectors of 4 rows) × 4 tokens; and what all matrix kernels end with.
 *
 *    sum   [4 tokens][8 rows] f32, the tile's running result, 128 bytes
 *
 * Keep the loops over k rolled. With one step in the body V8 13.6 has one order to choose from and the eight sums stay in registers;
 * unrolled, TurboFan finishes one sum after the other, keeps every loaded weight alive and spills.
 */

export const TILE_ROWS = 8;
export const TILE_TOKENS = 4;
export const SUM_BYTES: usize = 128;

// @ts-ignore: decorator
@inline export function dot16(sum: v128, a: v128, b: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(a, b));
}

/**
 * sum[t][r] += scale[t] · Σ panel[k][r] · q[k][t] over `size` k of one activation group.
 * panel: [pair of k][2] 16 B, 4 rows × 2 × int16, weight · block scale. Exact in int32: |w · s| ≤ 127², 256 · 127³ < 2³⁰.
 */
export function addGroup16(panel: usize, q: usize, scales: usize, sum: usize, size: i32): void {
  let a0 = i32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
  for (let end = panel + (<usize>size << 4); panel < end; panel += 32) {
    const rowsA = v128.load(panel);
    const rowsB = v128.load(panel, 16);
    const x0 = v128.load32_splat(q);
    const x1 = v128.load32_splat(q, 4);
    const x2 = v128.load32_splat(q, 8);
    const x3 = v128.load32_splat(q, 12);
    a0 = dot16(a0, rowsA, x0);
    b0 = dot16(b0, rowsB, x0);
    a1 = dot16(a1, rowsA, x1);
    b1 = dot16(b1, rowsB, x1);
    a2 = dot16(a2, rowsA, x2);
    b2 = dot16(b2, rowsB, x2);
    a3 = dot16(a3, rowsA, x3);
    b3 = dot16(b3, rowsB, x3);
    q += 16;
  }
  addScaled(sum, a0, b0, v128.load32_splat(scales));
  addScaled(sum + 32, a1, b1, v128.load32_splat(scales, 4));
  addScaled(sum + 64, a2, b2, v128.load32_splat(scales, 8));
  addScaled(sum + 96, a3, b3, v128.load32_splat(scales, 12));
}

/** Multiply, then add: a fused form would make hosts differ. */
// @ts-ignore: decorator
@inline export function plusScaled(sum: v128, integers: v128, scale: v128): v128 {
  return f32x4.add(sum, f32x4.mul(f32x4.convert_i32x4_s(integers), scale));
}

/** One token's 8 rows. */
// @ts-ignore: decorator
@inline export function addScaled(sum: usize, rowsA: v128, rowsB: v128, scale: v128): void {
  v128.store(sum, plusScaled(v128.load(sum), rowsA, scale));
  v128.store(sum, plusScaled(v128.load(sum, 16), rowsB, scale), 16);
}

/** The sums of a matvec's 16 rows, before anything is added to them. */
// @ts-ignore: decorator
@inline export function zeroSixteen(sums: usize): void {
  const zero = f32x4.splat(0);
  v128.store(sums, zero);
  v128.store(sums, zero, 16);
  v128.store(sums, zero, 32);
  v128.store(sums, zero, 48);
}

/** In place, for all rows of a matvec: y = sums · row scales + bias. After the last tile, so that the scales are read where they lie. */
export function scaleRows(y: usize, rowScales: usize, bias: usize, tiles: i32): void {
  for (let end = y + (<usize>tiles << 6); y < end; y += 16, rowScales += 16) {
    v128.store(y, f32x4.add(f32x4.mul(v128.load(y), v128.load(rowScales)), loadBias(bias, 0)));
    bias = nextBias(bias, 16);
  }
}

/** y[t][0 … rows) = sum[t] · row scales + bias, for the tokens (1 … 4) and rows (1 … 8) that exist. */
export function storeTile(sum: usize, rowScales: usize, bias: usize, y: usize, rowBytes: usize, tokens: i32, rows: i32): void {
  const scalesA = v128.load(rowScales);
  const scalesB = v128.load(rowScales, 16);
  const biasA = loadBias(bias, 0);
  const biasB = loadBias(bias, 16);
  for (let t = 0; t < tokens; t++) {
    const a = f32x4.add(f32x4.mul(v128.load(sum), scalesA), biasA);
    const b = f32x4.add(f32x4.mul(v128.load(sum, 16), scalesB), biasB);
    if (rows == TILE_ROWS) {
      v128.store(y, a);
      v128.store(y, b, 16);
    } else {
      v128.store(sum, a);
      v128.store(sum, b, 16);
      memory.copy(y, sum, <usize>rows << 2); // the next columns belong to another token
    }
    sum += 32;
    y += rowBytes;
  }
}

/** Four biases; an address of 0 stands for none. Adding 0 keeps every bit but the sign of −0, whatever T is. */
// @ts-ignore: decorator
@inline export function loadBias(bias: usize, offset: usize): v128 {
  return bias == 0 ? f32x4.splat(0) : v128.load(bias + offset);
}

// @ts-ignore: decorator
@inline export function nextBias(bias: usize, bytes: usize): usize {
  return bias == 0 ? 0 : bias + bytes;
}
