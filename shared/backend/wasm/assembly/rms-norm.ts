/** y = x · (mean(x²) + eps)^−½ · (1 + w), row by row.  Source: RMSNorm in recurrentgemma/torch/layers.py */

import { sum4 } from "./vector-math";

export function rmsNorm(
  x: usize, // (T D) f32
  w: usize, // (D) f32, zero-centred
  y: usize, // (T D) f32
  T: i32,
  D: i32, //   a multiple of 4
  eps: f32,
): void {
  for (let t = 0; t < T; t++) {
    // Two sums, because each addition waits for the one before.
    let a = f32x4.splat(0);
    let b = a;
    const rowEnd = x + (<usize>D << 2);
    let at = x;
    for (; at + 16 < rowEnd; at += 32) {
      const u = v128.load(at);
      const v = v128.load(at, 16);
      a = f32x4.add(a, f32x4.mul(u, u));
      b = f32x4.add(b, f32x4.mul(v, v));
    }
    if (at < rowEnd) a = f32x4.add(a, f32x4.mul(v128.load(at), v128.load(at)));
    const scale = f32x4.splat(1 / sqrt<f32>(sum4(f32x4.add(a, b)) / <f32>D + eps));
    let weight = w;
    for (; x < rowEnd; x += 16, y += 16, weight += 16) {
      const factor = f32x4.add(f32x4.splat(1), v128.load(weight));
      v128.store(y, f32x4.mul(f32x4.mul(v128.load(x), scale), factor));
    }
  }
}
