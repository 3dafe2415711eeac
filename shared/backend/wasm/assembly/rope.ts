/** Rotary position embedding on each head's first 2 · half dimensions, as pairs (j, j + half), in place.
 *  Source: apply_rope in recurrentgemma/torch/modules.py. The angles come from outside, where there is f64 trigonometry.  */

export function rope(
  x: usize, //    (T heads·K) f32
  cos: usize, //  (T half) f32
  sin: usize, //  (T half) f32
  T: i32,
  heads: i32,
  K: i32,
  half: i32,
): void {
  for (let t = 0; t < T; t++) {
    for (let head = 0; head < heads; head++) {
      for (let j: usize = 0; j < <usize>half << 2; j += 4) {
        const c = load<f32>(cos + j);
        const s = load<f32>(sin + j);
        const a = load<f32>(x + j);
        const b = load<f32>(x + j + (<usize>half << 2));
        store<f32>(x + j, a * c - b * s);
        store<f32>(x + j + (<usize>half << 2), a * s + b * c);
      }
      x += <usize>K << 2;
    }
    cos += <usize>half << 2;
    sin += <usize>half << 2;
  }
}
