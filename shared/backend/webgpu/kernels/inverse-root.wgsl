// x^-1/2. WGSL allows 2 ULP; one step of Newton's method takes most of that off.
fn inverseRoot(x: f32) -> f32 {
  let y = inverseSqrt(x);
  return y + 0.5f * y * fma(-x * y, y, 1f);
}
