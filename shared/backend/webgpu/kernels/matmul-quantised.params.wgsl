// The parameters of products with weights of rg8 or rg4, and the row scales of four rows. A gate is several matrices, one after the
// other, each on its own columns of x.

struct Params {
  x: u32, // in quantised: (T matrices blocks 3) vec4u
  y: u32, // (T yColumns), from the column of the first row on
  M: u32, // rows of a matrix, or of the part of it that is bound
  blocks: u32, // of 32 columns, of one matrix
  T: u32,
  yColumns: u32,
  xStride: u32, // from one token to the next, vec4u
  matrixVectors: u32, // from one matrix to the next, vec4u
  scalesAt: u32, // row scales of the first row
  biasAt: u32,
  hasBias: u32,
}
@group(0) @binding(0) var<uniform> p: Params;

fn fourScales(row: u32, matrix: u32) -> vec4f {
  let at = p.scalesAt + matrix * p.matrixVectors * 4u + row;
  return vec4f(rowScales[at], rowScales[at + 1u], rowScales[at + 2u], rowScales[at + 3u]);
}
