// x <- cap * tanh(x / cap), in place.  Source: Griffin.forward in recurrentgemma/torch/griffin.py

struct Params { x: u32, n: u32, cap: f32, inverse: f32 }
@group(0) @binding(0) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let at = element(id);
  if (at < p.n) { arena[p.x + at] = p.cap * tanhOf(arena[p.x + at] * p.inverse); }
}
