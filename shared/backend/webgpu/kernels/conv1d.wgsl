// v_t[e] = b[e] + sum over taps of w[tap, e] u[t + tap - (W - 1), e]; the state holds the last W - 1 inputs, oldest first.
// Source: Conv1D in recurrentgemma/torch/layers.py

struct Params {
  x: u32, // (T E)
  y: u32, // (T E)
  taps: u32, // (W - 1, E) in the state
  T: u32,
  E: u32,
  W: u32,
  table: u32, // sequences.wgsl
  position: u32,
}
@group(0) @binding(0) var<uniform> p: Params;

// One thread a channel of a sequence: it alone reads and advances its part of the state.
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let e = id.x;
  let first = id.y; // row of the sequence, if there are several
  if (e >= p.E) { return; }
  let T = rowsEach(p.T);
  let taps = p.taps + stateOf(first);
  for (var t = 0u; t < T; t++) {
    var sum = bias[e];
    for (var tap = 0u; tap < p.W; tap++) { sum += plain[tap * p.E + e] * input(taps, first, t + tap, e); }
    arena[p.y + (first + t) * p.E + e] = sum;
  }
  for (var tap = 0u; tap + 1u < p.W; tap++) { state[taps + tap * p.E + e] = bitcast<u32>(input(taps, first, T + tap, e)); }
}

// The inputs of this call behind those of the calls before it: row t + W - 1 is token t.
fn input(taps: u32, first: u32, row: u32, e: u32) -> f32 {
  if (row + 1u < p.W) { return bitcast<f32>(state[taps + row * p.E + e]); }
  return arena[p.x + (first + row + 1u - p.W) * p.E + e];
}
