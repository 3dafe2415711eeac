// y = x (mean(x^2) + eps)^-1/2 (1 + w), row by row.  Source: RMSNorm in recurrentgemma/torch/layers.py

struct Params {
  x: u32, // (T D)
  y: u32, // (T D)
  T: u32,
  D: u32,
  eps: f32,
}
@group(0) @binding(0) var<uniform> p: Params;

// One thread a row, in eight sums: an f32 sum of many squares loses digits.
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= p.T) { return; }
  let x = p.x + id.x * p.D;
  let y = p.y + id.x * p.D;
  var sums = array<vec4f, 2>();
  var d = 0u;
  for (; d + 8u <= p.D; d += 8u) {
    let a = vec4f(arena[x + d], arena[x + d + 1u], arena[x + d + 2u], arena[x + d + 3u]);
    let b = vec4f(arena[x + d + 4u], arena[x + d + 5u], arena[x + d + 6u], arena[x + d + 7u]);
    sums[0] += a * a;
    sums[1] += b * b;
  }
  for (; d < p.D; d++) { sums[0].x += arena[x + d] * arena[x + d]; }
  let four = sums[0] + sums[1];
  let scale = inverseRoot((four.x + four.z + (four.y + four.w)) / f32(p.D) + p.eps);
  for (d = 0u; d < p.D; d++) { arena[y + d] = arena[x + d] * scale * (1f + plain[d]); }
}
