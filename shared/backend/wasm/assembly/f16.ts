/**
 * f16 weights, widened exactly to f32 and multiplied as such (f32.ts).
 *
 *    [tile of 16 rows][k] 32 B: rows 0 … 15
 */

import { f32Tile } from "./f32";
import { f16ToF32x4 } from "./half";
import { nextBias } from "./tile";

const TILE_BYTES_PER_K: usize = 32;

/** `scratch`: one widened tile, K · 64 bytes. */
export function f16Matmul(
  w: usize, bias: usize, x: usize, xBytes: usize, y: usize, rowBytes: usize, N: i32, K: i32, T: i32, scratch: usize,
): void {
  for (let n = 0; n < N; n += 16) {
    for (let to = scratch, end = scratch + (<usize>K << 6); to < end; to += 16, w += 8)
      v128.store(to, f16ToF32x4(v128.load16x4_s(w)));
    f32Tile(scratch, bias, x, xBytes, y + (<usize>n << 2), rowBytes, min(N - n, 16), K, T);
    bias = nextBias(bias, 64);
  }
}

/** Row n of W as f32 (K), times `factor`: what `embed` reads. */
export function f16Row(w: usize, n: i32, y: usize, K: i32, factor: f32): void {
  let at = w + <usize>(n >> 4) * <usize>K * TILE_BYTES_PER_K + (<usize>(n & 15) << 1);
  for (let end = y + (<usize>K << 2); y < end; y += 4, at += TILE_BYTES_PER_K)
    store<f32>(y, f32x4.extract_lane(f16ToF32x4(i32x4.splat(<i32>load<i16>(at))), 0) * factor);
}
