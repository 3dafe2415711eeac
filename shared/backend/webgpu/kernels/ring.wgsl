// The attention ring in its three formats (reference/ring.ts).  RING: 0 f32, 1 f16, 2 i8 with an f32 scale per row and kv head.
// A row is [G K]; the row of absolute position p lies in slot p mod W. Subnormals are decoded and encoded by integers, since a GPU may
// take them for zeros.

fn fromHalf(half: u32) -> f32 {
  let magnitude = half & 0x7fffu;
  let sign = (half & 0x8000u) << 16u;
  if (magnitude >= 0x7c00u) { return bitcast<f32>(sign | 0x7f800000u | (magnitude << 13u)); }
  if (magnitude < 0x400u) { return bitcast<f32>(bitcast<u32>(f32(magnitude) * 0x1p-24f) | sign); }
  return bitcast<f32>(sign | ((magnitude << 13u) + 0x38000000u));
}

// To the nearest half, ties to even; beyond 65504 and half a step to infinity.
fn toHalf(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  let sign = (bits >> 16u) & 0x8000u;
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) { return 0x7e00u; } // NaN
  if (magnitude >= 0x477ff000u) { return sign | 0x7c00u; }
  var shift = 13u;
  var significand = magnitude;
  if (magnitude < 0x38800000u) { // below 2^-14 the steps are those of the subnormals
    shift = 126u - (magnitude >> 23u);
    if (shift > 25u) { return sign; }
    significand = (magnitude & 0x7fffffu) | 0x800000u;
  } else {
    significand -= 0x38000000u;
  }
  let rest = significand & ((1u << shift) - 1u);
  let middle = 1u << (shift - 1u);
  var half = significand >> shift;
  if (rest > middle || (rest == middle && (half & 1u) == 1u)) { half++; }
  return sign | half;
}

// Number `at` of a ring whose rows begin at word `rows` and scales at word `scales` of the state; heads of K numbers.
fn ringNumber(rows: u32, scales: u32, at: u32, K: u32) -> f32 {
  if (RING == 0u) { return bitcast<f32>(state[rows + at]); }
  if (RING == 1u) { return fromHalf((state[rows + (at >> 1u)] >> (16u * (at & 1u))) & 0xffffu); }
  let q = extractBits(i32(state[rows + (at >> 2u)]), 8u * (at & 3u), 8u);
  return f32(q) * bitcast<f32>(state[scales + at / K]);
}
