// y = x W^T + b with weights of rg8 or rg4, a workgroup for a tile of 16 rows and TOKENS tokens. The format's own file defines
//     fn partOfBlock(block: u32, quad: u32, part: u32, x: u32) -> vec4i
// the sum over 8 of a block's 32 columns, block scales included, for the rows 4 quad ... 4 quad + 3 of a tile.
//
// A workgroup reads a group of 256 columns in one go, 4 rows and 8 columns a thread: 16 bytes side by side. Groups are added up in
// ascending order, then the threads in theirs: the same bits for every T.

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let first = group.x * TOKENS;
  let quad = thread & 3u;
  let part = (thread >> 2u) & 3u;
  var x: array<u32, TOKENS>;
  for (var t = 0u; t < TOKENS; t++) {
    x[t] = p.x + min(first + t, p.T - 1u) * p.xStride + group.z * p.blocks * 3u;
  }
  var sums = array<vec4f, TOKENS>();
  let tile = group.z * p.matrixVectors + group.y * p.blocks * BLOCK_VECTORS;
  for (var b = thread >> 4u; b < p.blocks; b += THREADS / 16u) {
    for (var t = 0u; t < TOKENS; t++) {
      let at = x[t] + b * 3u;
      sums[t] += bitcast<f32>(quantised[at + 2u].z) * vec4f(partOfBlock(tile + b * BLOCK_VECTORS, quad, part, at));
    }
  }
  for (var t = 0u; t < TOKENS; t++) { slices[t * THREADS + thread] = sums[t]; }
  workgroupBarrier();
  for (var item = thread; item < 4u * TOKENS; item += THREADS) {
    let token = item >> 2u;
    let row = group.y * 16u + (item & 3u) * 4u;
    if (first + token < p.T) { storeFour(first + token, row, group.z, sumOfSlices(token, item & 3u) * fourScales(row, group.z)); }
  }
}
