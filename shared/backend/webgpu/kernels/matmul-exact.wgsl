// y = x W^T + b with weights of f32 or f16 (DTYPE 0 or 1): 4 rows of W and TOKENS tokens a thread, no barrier. A gate is several
// matrices, one after the other, each on its own columns of x.
// The sum runs over k in ascending order whatever TOKENS is: the same bits for every T.
//
//    [tile of 16 rows][k] 16 numbers: four threads, side by side, read one k of a tile

struct Params {
  x: u32, // (T matrices*N)
  y: u32, // (T yColumns), from the column of the first row on
  M: u32, // rows of a matrix, or of the part of it that is bound
  N: u32,
  T: u32,
  yColumns: u32,
  xColumns: u32,
  matrixFours: u32, // from one matrix to the next, in groups of 4 weights
  biasAt: u32,
  hasBias: u32,
}
@group(0) @binding(0) var<uniform> p: Params;

fn fourWeights(at: u32) -> vec4f {
  if (DTYPE == 0u) { return bitcast<vec4f>(tiles[at]); }
  let eight = tiles[at >> 1u];
  let four = select(eight.xy, eight.zw, (at & 1u) == 1u);
  return vec4f(unpack2x16float(four.x), unpack2x16float(four.y));
}

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
