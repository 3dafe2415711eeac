// The parameters of products with weights of f32 or f16 (DTYPE 0 or 1), and how four weights of one k are read. A gate is several
// matrices, one after the other, each on its own columns of x.
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
