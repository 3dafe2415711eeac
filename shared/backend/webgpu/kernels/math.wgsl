// exp and its family in f32, by the same polynomials as the wasm backend's vector-math.ts: WGSL's own may be off by 3 + 2|x| ULP.

const LOG2_E = 1.44269504088896341f;
// ln 2 in two parts: n times the first is exact for |n| <= 2^10.
const LN2_HIGH = 0.693359375f;
const LN2_LOW = -2.12194440e-4f;
// Beyond these, exp leaves the normal f32 numbers.
const EXP_LEAST = -87.33654f;
const EXP_MOST = 88.37626f;

// exp(r) - 1 for |r| <= ln 2 / 2.
fn expm1Reduced(r: f32) -> f32 {
  let square = r * r;
  let low = 0.5000000013502683f + 0.1666657682348883f * r;
  let high = 0.041666464572034746f + 0.008363205467521602f * r;
  let top = high + 0.001393368835714563f * square;
  return r + square * (low + top * square);
}

fn powerOfTwo(n: f32) -> f32 {
  return bitcast<f32>((i32(n) + 127) << 23u);
}

fn reduced(x: f32, n: f32) -> f32 {
  return (x - n * LN2_HIGH) - n * LN2_LOW;
}

fn expOf(x: f32) -> f32 {
  let at = clamp(x, EXP_LEAST, EXP_MOST);
  let n = round(at * LOG2_E);
  return (expm1Reduced(reduced(at, n)) + 1f) * powerOfTwo(n);
}

// exp(x) - 1 without cancellation near 0.
fn expm1Of(x: f32) -> f32 {
  let at = clamp(x, EXP_LEAST, EXP_MOST);
  let n = round(at * LOG2_E);
  let scale = powerOfTwo(n);
  return expm1Reduced(reduced(at, n)) * scale + (scale - 1f);
}

fn sigmoid(x: f32) -> f32 {
  return 1f / (1f + expOf(-x));
}

// On |x| with the sign put back, where nothing cancels. From x = 9.02 on it is 1 in f32, and e stays far below 2^126, beyond which
// WGSL says nothing about a quotient: on some GPUs it is 0.
fn tanhOf(x: f32) -> f32 {
  let e = expm1Of(min(2f * abs(x), 40f));
  return sign(x) * (e / (e + 2f));
}
