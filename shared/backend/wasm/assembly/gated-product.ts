/** y = activation(gate) ⊙ x.  Source: MLPBlock and RecurrentBlock in recurrentgemma/torch/modules.py */

import { geluTanh4, silu4 } from "./vector-math";

/** `n` numbers; buffers are padded to a multiple of 4. */
export function gatedProductGelu(gate: usize, x: usize, y: usize, n: i32): void {
  for (let end = x + (<usize>n << 2); x < end; x += 16, gate += 16, y += 16)
    v128.store(y, f32x4.mul(geluTanh4(v128.load(gate)), v128.load(x)));
}

export function gatedProductSilu(gate: usize, x: usize, y: usize, n: i32): void {
  for (let end = x + (<usize>n << 2); x < end; x += 16, gate += 16, y += 16)
    v128.store(y, f32x4.mul(silu4(v128.load(gate)), v128.load(x)));
}
