// y = x W^T + b with weights of f32 or f16 (DTYPE 0 or 1), a workgroup for a tile of 16 rows and TOKENS tokens: 4 threads side by side
// read one k of the tile, 32 slices of k go on at once, and are added up at the end in their order: the same bits for every T.

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let first = group.x * TOKENS;
  var x: array<u32, TOKENS>;
  for (var t = 0u; t < TOKENS; t++) { x[t] = p.x + min(first + t, p.T - 1u) * p.xColumns + group.z * p.N; }
  var sums = array<vec4f, TOKENS>();
  let tile = group.z * p.matrixFours + group.y * p.N * 4u + (thread & 3u);
  for (var k = thread >> 2u; k < p.N; k += THREADS / 4u) {
    let w = fourWeights(tile + k * 4u);
    for (var t = 0u; t < TOKENS; t++) { sums[t] += w * arena[x[t] + k]; }
  }
  for (var t = 0u; t < TOKENS; t++) { slices[t * THREADS + thread] = sums[t]; }
  workgroupBarrier();
  for (var item = thread; item < 4u * TOKENS; item += THREADS) {
    let token = item >> 2u;
    if (first + token < p.T) { storeFour(first + token, group.y * 16u + (item & 3u) * 4u, group.z, sumOfSlices(token, item & 3u)); }
  }
}
