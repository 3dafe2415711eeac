// RMSNorm (rms-norm.wgsl) with a workgroup a row.

struct Params {
  x: u32, // (T D)
  y: u32, // (T D)
  T: u32,
  D: u32,
  eps: f32,
}
@group(0) @binding(0) var<uniform> p: Params;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = workgroupIndex(group);
  if (row >= p.T) { return; }
  let x = p.x + row * p.D;
  let y = p.y + row * p.D;
  var squares = 0f;
  for (var d = thread; d < p.D; d += THREADS) { squares += arena[x + d] * arena[x + d]; }
  let scale = inverseRoot(sumOfAll(squares, thread) / f32(p.D) + p.eps);
  for (var d = thread; d < p.D; d += THREADS) { arena[y + d] = arena[x + d] * scale * (1f + plain[d]); }
}
