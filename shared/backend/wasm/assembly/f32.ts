/**
 * f32 weights.   y[t][n] = Σ_k w[n][k] · x[t][k] + bias[n], k in ascending order, multiply then add: the same bits for every T.
 *
 *    [tile of 16 rows][k] 64 B: rows 0 … 15
 *
 * A splat activation meets 16 rows, so that a lane is a row and nothing is summed across lanes.
 */

import { loadBias, nextBias } from "./tile";

const TILE_BYTES_PER_K: usize = 64;

/** y (T N): `rowBytes` from one row of y to the next, `xBytes` from one row of x to the next. */
export function f32Matmul(w: usize, bias: usize, x: usize, xBytes: usize, y: usize, rowBytes: usize, N: i32, K: i32, T: i32): void {
  for (let n = 0; n < N; n += 16) {
    f32Tile(w, bias, x, xBytes, y + (<usize>n << 2), rowBytes, min(N - n, 16), K, T);
    w += <usize>K * TILE_BYTES_PER_K;
    bias = nextBias(bias, 64);
  }
}

/** One tile of `rows` (1 … 16) rows for all tokens. */
export function f32Tile(tile: usize, bias: usize, x: usize, xBytes: usize, y: usize, rowBytes: usize, rows: i32, K: i32, T: i32): void {
  const bias0 = loadBias(bias, 0);
  const bias1 = loadBias(bias, 16);
  const bias2 = loadBias(bias, 32);
  const bias3 = loadBias(bias, 48);
  let t = 0;
  for (; t + 1 < T; t += 2) {
    let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
    let p = tile;
    for (let at = x, end = x + (<usize>K << 2); at < end; at += 4) {
      const w0 = v128.load(p);
      const w1 = v128.load(p, 16);
      const w2 = v128.load(p, 32);
      const w3 = v128.load(p, 48);
      const xa = v128.load32_splat(at);
      const xb = v128.load32_splat(at + xBytes);
      a0 = f32x4.add(a0, f32x4.mul(w0, xa));
      a1 = f32x4.add(a1, f32x4.mul(w1, xa));
      a2 = f32x4.add(a2, f32x4.mul(w2, xa));
      a3 = f32x4.add(a3, f32x4.mul(w3, xa));
      b0 = f32x4.add(b0, f32x4.mul(w0, xb));
      b1 = f32x4.add(b1, f32x4.mul(w1, xb));
      b2 = f32x4.add(b2, f32x4.mul(w2, xb));
      b3 = f32x4.add(b3, f32x4.mul(w3, xb));
      p += TILE_BYTES_PER_K;
    }
    storeRows(y, rows, f32x4.add(a0, bias0), f32x4.add(a1, bias1), f32x4.add(a2, bias2), f32x4.add(a3, bias3));
    storeRows(y + rowBytes, rows, f32x4.add(b0, bias0), f32x4.add(b1, bias1), f32x4.add(b2, bias2), f32x4.add(b3, bias3));
    x += 2 * xBytes;
    y += 2 * rowBytes;
  }
  if (t < T) {
    let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0;
    let p = tile;
    for (let at = x, end = x + (<usize>K << 2); at < end; at += 4) {
      const xa = v128.load32_splat(at);
      a0 = f32x4.add(a0, f32x4.mul(v128.load(p), xa));
      a1 = f32x4.add(a1, f32x4.mul(v128.load(p, 16), xa));
      a2 = f32x4.add(a2, f32x4.mul(v128.load(p, 32), xa));
      a3 = f32x4.add(a3, f32x4.mul(v128.load(p, 48), xa));
      p += TILE_BYTES_PER_K;
    }
    storeRows(y, rows, f32x4.add(a0, bias0), f32x4.add(a1, bias1), f32x4.add(a2, bias2), f32x4.add(a3, bias3));
  }
}

/** The first `rows` of 16 results: what lies behind them belongs to another token. */
// @ts-ignore: decorator
@inline function storeRows(y: usize, rows: i32, r0: v128, r1: v128, r2: v128, r3: v128): void {
  if (rows == 16) {
    v128.store(y, r0);
    v128.store(y, r1, 16);
    v128.store(y, r2, 32);
    v128.store(y, r3, 48);
  } else {
    storeSome(y, r0, rows);
    storeSome(y + 16, r1, rows - 4);
    storeSome(y + 32, r2, rows - 8);
    storeSome(y + 48, r3, rows - 12);
  }
}

function storeSome(y: usize, values: v128, count: i32): void {
  if (count > 0) v128.store32_lane(y, values, 0);
  if (count > 1) v128.store32_lane(y, values, 1, 4);
  if (count > 2) v128.store32_lane(y, values, 2, 8);
  if (count > 3) v128.store32_lane(y, values, 3, 12);
}

/** Row n of W as f32 (K), times `factor`: what `embed` reads. */
export function f32Row(w: usize, n: i32, y: usize, K: i32, factor: f32): void {
  let at = w + <usize>(n >> 4) * <usize>K * TILE_BYTES_PER_K + (<usize>(n & 15) << 2);
  for (let end = y + (<usize>K << 2); y < end; y += 4, at += TILE_BYTES_PER_K) store<f32>(y, load<f32>(at) * factor);
}
