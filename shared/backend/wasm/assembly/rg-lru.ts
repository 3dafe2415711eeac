/** The gated diagonal recurrence of the RG-LRU, in place on its state.  Source: RGLRU in recurrentgemma/torch/layers.py
 *    log a = decay · σ(r)      h[e] ← a · h[e] + √(1 − a²) · σ(i) · x          e = 0 … E−1
 *  With m = expm1(log a), a is 1 + m and 1 − a² is −m (2 + m): one exponential for both, and no digit is lost once a is near 1.  */

import { expm14, sigmoid4 } from "./vector-math";

export function rgLru(
  x: usize, //     (T E) f32  output of the convolution
  i: usize, //     (T E) f32  input gate, logits
  r: usize, //     (T E) f32  recurrence gate, logits
  decay: usize, // (E) f32    −8 · softplus(Λ)
  y: usize, //     (T E) f32  every h
  h: usize, //     (E) f32    state, read and written
  T: i32,
  E: i32, //       a multiple of 4
  isStart: bool, // the first row is position 0: no decay, no multiplier
): void {
  const rowBytes = <usize>E << 2;
  for (let t = 0; t < T; t++) {
    for (let e: usize = 0; e < rowBytes; e += 16) {
      const gated = f32x4.mul(sigmoid4(v128.load(i + e)), v128.load(x + e));
      let next = gated;
      if (!isStart) {
        const logA = f32x4.mul(v128.load(decay + e), sigmoid4(v128.load(r + e)));
        const m = expm14(logA);
        const multiplier = f32x4.sqrt(f32x4.neg(f32x4.mul(m, f32x4.add(f32x4.splat(2), m))));
        next = f32x4.add(f32x4.mul(f32x4.add(f32x4.splat(1), m), v128.load(h + e)), f32x4.mul(multiplier, gated));
      }
      v128.store(h + e, next);
      v128.store(y + e, next);
    }
    isStart = false;
    x += rowBytes;
    i += rowBytes;
    r += rowBytes;
    y += rowBytes;
  }
}
