// x += y

struct Params { x: u32, y: u32, n: u32 }
@group(0) @binding(0) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let at = element(id);
  if (at < p.n) { arena[p.x + at] += arena[p.y + at]; }
}
