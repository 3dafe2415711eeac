// This call's keys and values on their way into the ring: `roundRows` as they will read once stored, which is what this call's
// queries attend to; `storeRows` for good, after they have been attended to, since a row may take the place of the oldest key that
// a query still sees.

struct Params {
  keys: u32, // (T G K) f32
  values: u32, // (T G K)
  roundedKeys: u32, // (T G K)
  roundedValues: u32,
  keyRows: u32, // in the state, words
  keyScales: u32,
  valueRows: u32,
  valueScales: u32,
  first: u32, // row of the call
  T: u32, // rows from there on
  G: u32,
  K: u32, // a multiple of 4
  W: u32,
  table: u32, // sequences.wgsl
  position: u32,
}
@group(0) @binding(0) var<uniform> p: Params;

// Four numbers of one head a thread. Values follow the keys.
@compute @workgroup_size(64)
fn roundRows(@builtin(global_invocation_id) id: vec3u) {
  let fours = p.G * p.K / 4u;
  let row = element(id) / fours;
  if (row >= 2u * p.T) { return; }
  let isValue = row >= p.T;
  let t = p.first + select(row, row - p.T, isValue);
  let column = element(id) % fours * 4u;
  let source = select(p.keys, p.values, isValue) + t * p.G * p.K;
  let to = select(p.roundedKeys, p.roundedValues, isValue) + t * p.G * p.K + column;
  if (RING == 1u) {
    for (var i = 0u; i < 4u; i++) { arena[to + i] = fromHalf(toHalf(arena[source + column + i])); }
  } else if (RING == 2u) {
    let scale = headScale(source + column / p.K * p.K);
    for (var i = 0u; i < 4u; i++) { arena[to + i] = f32(steps(arena[source + column + i], scale)) * scale; }
  }
}

@compute @workgroup_size(64)
fn storeRows(@builtin(global_invocation_id) id: vec3u) {
  let fours = p.G * p.K / 4u;
  let row = element(id) / fours;
  if (row >= 2u * p.T) { return; }
  let isValue = row >= p.T;
  let t = p.first + select(row, row - p.T, isValue);
  let column = element(id) % fours * 4u;
  let source = select(p.keys, p.values, isValue) + t * p.G * p.K;
  let slot = positionOf(t) % p.W;
  let at = slot * p.G * p.K + column;
  let rows = stateOf(t) + select(p.keyRows, p.valueRows, isValue);
  let four = vec4f(arena[source + column], arena[source + column + 1u], arena[source + column + 2u], arena[source + column + 3u]);
  if (RING == 0u) {
    for (var i = 0u; i < 4u; i++) { state[rows + at + i] = bitcast<u32>(four[i]); }
  } else if (RING == 1u) {
    state[rows + (at >> 1u)] = toHalf(four.x) | (toHalf(four.y) << 16u);
    state[rows + (at >> 1u) + 1u] = toHalf(four.z) | (toHalf(four.w) << 16u);
  } else {
    let head = column / p.K;
    let scale = headScale(source + head * p.K);
    var word = 0u;
    for (var i = 0u; i < 4u; i++) { word |= (bitcast<u32>(steps(four[i], scale)) & 255u) << (8u * i); }
    state[rows + (at >> 2u)] = word;
    if (column % p.K == 0u) { state[stateOf(t) + select(p.keyScales, p.valueScales, isValue) + slot * p.G + head] = bitcast<u32>(scale); }
  }
}

// max |x| / 127 of the head that begins at `x`.
fn headScale(x: u32) -> f32 {
  var largest = 0f;
  for (var k = 0u; k < p.K; k++) { largest = max(largest, abs(arena[x + k])); }
  if (largest < 0x1p-119f) { return largest / 127f; } // subnormal: as exact as this GPU is there
  return divide(largest, 127f);
}

// x / scale to the nearest integer, half to even.
fn steps(x: f32, scale: f32) -> i32 {
  if (scale == 0f || x == 0f) { return 0; } // underflow: the head reads as zeros
  var quotient = x / scale;
  if (scale >= 0x1p-126f && abs(x) >= scale * 0.25f) { quotient = sign(x) * divide(abs(x), scale); }
  return i32(clamp(round(quotient), -127f, 127f));
}
