// y = x W^T + b with weights of f32 or f16: 4 rows of W and TOKENS tokens a thread, no barrier. The sum runs over k in ascending order
// whatever TOKENS is: the same bits for every T.

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x * 4u;
  if (row >= p.M) { return; }
  let first = id.y * TOKENS;
  var x: array<u32, TOKENS>;
  for (var t = 0u; t < TOKENS; t++) { x[t] = p.x + min(first + t, p.T - 1u) * p.xColumns + id.z * p.N; }
  var sums = array<vec4f, TOKENS>();
  let tile = id.z * p.matrixFours + (row >> 4u) * p.N * 4u + (id.x & 3u);
  for (var k = 0u; k < p.N; k++) {
    let w = fourWeights(tile + k * 4u);
    for (var t = 0u; t < TOKENS; t++) { sums[t] += w * arena[x[t] + k]; }
  }
  for (var t = 0u; t < TOKENS; t++) {
    if (first + t < p.T) { storeFour(first + t, row, id.z, sums[t]); }
  }
}
