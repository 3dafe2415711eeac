// Four rows' sums into the result, with the bias; those beyond the last row are dropped.
fn storeFour(token: u32, row: u32, matrix: u32, sums: vec4f) {
  let y = p.y + token * p.yColumns + matrix * p.M;
  for (var i = 0u; i < 4u; i++) {
    if (row + i >= p.M) { return; }
    var sum = sums[i];
    if (p.hasBias == 1u) { sum += bias[p.biasAt + matrix * p.M + row + i]; }
    arena[y + row + i] = sum;
  }
}
