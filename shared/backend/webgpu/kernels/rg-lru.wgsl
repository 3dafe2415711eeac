// The gated diagonal recurrence of the RG-LRU, in place on its state.  Source: RGLRU in recurrentgemma/torch/layers.py
//     log a = decay sigmoid(r)      h[e] <- a h[e] + sqrt(1 - a^2) sigmoid(i) x          e = 0 ... E-1
// With m = expm1(log a), a is 1 + m and 1 - a^2 is -m (2 + m): no digit is lost once a is near 1.

struct Params {
  x: u32, // (T E) output of the convolution
  i: u32, // (T E) input gate, logits
  r: u32, // (T E) recurrence gate, logits
  y: u32, // (T E) every h
  h: u32, // (E) in the state, f32
  T: u32,
  E: u32,
  table: u32, // sequences.wgsl
  position: u32,
}
@group(0) @binding(0) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let e = id.x;
  let first = id.y; // row of the sequence, if there are several
  if (e >= p.E) { return; }
  let place = p.h + stateOf(first) + e;
  var h = bitcast<f32>(state[place]);
  for (var t = first; t < first + rowsEach(p.T); t++) {
    let at = t * p.E + e;
    let gated = sigmoid(arena[p.i + at]) * arena[p.x + at];
    if (positionOf(t) == 0u) {
      h = gated; // no decay, no multiplier
    } else {
      let m = expm1Of(plain[e] * sigmoid(arena[p.r + at]));
      h = (1f + m) * h + sqrt(-m * (2f + m)) * gated;
    }
    arena[p.y + at] = h;
  }
  state[place] = bitcast<u32>(h);
}
