// y = x W^T + b with weights of rg8 or rg4: what both have in common. The format's own file defines
//     fn addBlock(sums: ptr<function, array<vec4i, TOKENS>>, block: u32, quad: u32, x: ptr<function, array<u32, TOKENS>>)
// which adds one block of 32 columns, block scales included, for the rows 4 quad ... 4 quad + 3 of a tile.
//
// 4 rows of W and TOKENS tokens a thread, no barrier. Integers are exact within a group of 256 columns, and groups are added up in
// ascending order: the same bits for every T. The definition is reference/matmul.ts with reference/activations.ts.

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x * 4u;
  if (row >= p.M) { return; }
  let first = id.y * TOKENS;
  var x: array<u32, TOKENS>;
  for (var t = 0u; t < TOKENS; t++) {
    x[t] = p.x + min(first + t, p.T - 1u) * p.xStride + id.z * p.blocks * 3u;
  }
  var sums = array<vec4f, TOKENS>();
  var block = id.z * p.matrixVectors + (row >> 4u) * p.blocks * BLOCK_VECTORS;
  for (var b = 0u; b < p.blocks;) {
    var integers = array<vec4i, TOKENS>();
    let end = min(b + 8u, p.blocks); // a group of 256 columns
    for (; b < end; b++) {
      addBlock(&integers, block, id.x & 3u, &x);
      block += BLOCK_VECTORS;
      for (var t = 0u; t < TOKENS; t++) { x[t] += 3u; }
    }
    for (var t = 0u; t < TOKENS; t++) {
      sums[t] += bitcast<f32>(quantised[x[t] - 1u].z) * vec4f(integers[t]);
    }
  }
  let scales = fourScales(row, id.z);
  for (var t = 0u; t < TOKENS; t++) {
    if (first + t < p.T) { storeFour(first + t, row, id.z, sums[t] * scales); }
  }
}
