import type { Rotation, State, Tensor } from "../backend.ts";
import { dataOf } from "./tensor.ts";

/**
 * Rotary position embedding on the first `dims` dimensions of each head, as pairs (j, j + dims / 2), in place:
 *     angle = position · theta^(−2j / dims)   (a, b) ← (a cos − b sin, a sin + b cos)
 * Angles are f64: in f32 their sine is off by 2e-3 at position 131,072.  Source: apply_rope in recurrentgemma/torch/modules.py
 */
export function rope(x: Tensor, headDim: number, { theta, dims }: Rotation, state: State): void {
  const xs = dataOf(x);
  const half = dims / 2;
  for (let t = 0; t < x.rows; t++) {
    for (let j = 0; j < half; j++) {
      const angle = (state.position + t) * theta ** (-j / half);
      const cos = Math.cos(angle);
      const sin = Math.sin(angle);
      for (let head = t * x.columns; head < (t + 1) * x.columns; head += headDim) {
        const a = xs[head + j];
        const b = xs[head + j + half];
        xs[head + j] = a * cos - b * sin;
        xs[head + j + half] = a * sin + b * cos;
      }
    }
  }
}
