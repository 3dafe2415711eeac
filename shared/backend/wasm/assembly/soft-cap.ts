/** x ← cap · tanh(x / cap) over `n` numbers; the buffer is padded to a multiple of 4.  Source: Griffin.forward in recurrentgemma/torch/griffin.py */

import { tanh4 } from "./vector-math";

export function softCap(x: usize, n: i32, cap: f32): void {
  const caps = f32x4.splat(cap);
  const inverse = f32x4.splat(1 / cap);
  for (let end = x + (<usize>n << 2); x < end; x += 16)
    v128.store(x, f32x4.mul(caps, tanh4(f32x4.mul(v128.load(x), inverse))));
}
