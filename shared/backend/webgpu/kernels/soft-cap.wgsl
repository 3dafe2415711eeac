// x <- cap * tanh(x / cap), in place.  Source: Griffin.forward in recurrentgemma/torch/griffin.py

struct Params { x: u32, n: u32, cap: f32, inverse: f32 }
@group(0) @binding(0) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let at = element(id);
  if (at >= p.n) { return; }
  let x = arena[p.x + at];
  if ((bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u) { return; } // NaN stays: min would make a number of it, and nobody would notice
  arena[p.x + at] = p.cap * tanhOf(x * p.inverse);
}
