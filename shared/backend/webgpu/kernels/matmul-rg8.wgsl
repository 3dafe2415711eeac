// A block of rg8 (wasm/assembly/rg8.ts): 16 rows x 32 columns in 33 vec4u.
//
//    [quad of k 0..7][rows 4r ... 4r+3, r 0..3]  a word: 4 int8 of one row      then [r 0..3] a word: int8 scales of 4 rows

const BLOCK_VECTORS = 33u;

fn addBlock(sums: ptr<function, array<vec4i, TOKENS>>, block: u32, r: u32, x: ptr<function, array<u32, TOKENS>>) {
  let scales = signedBytes(tiles[block + 32u][r]);
  var dots = array<vec4i, TOKENS>();
  for (var quad = 0u; quad < 8u; quad++) {
    let w = tiles[block + quad * 4u + r];
    for (var t = 0u; t < TOKENS; t++) {
      let q = quantised[(*x)[t] + (quad >> 2u)][quad & 3u];
      dots[t] += dotFour(w, q);
    }
  }
  for (var t = 0u; t < TOKENS; t++) { (*sums)[t] += scales * dots[t]; }
}

fn partOfBlock(block: u32, r: u32, part: u32, x: u32) -> vec4i {
  let scales = signedBytes(tiles[block + 32u][r]);
  let a = tiles[block + part * 8u + r];
  let b = tiles[block + part * 8u + 4u + r];
  let eight = quantised[x + (part >> 1u)];
  let q = select(eight.xy, eight.zw, (part & 1u) == 1u);
  return scales * (dotFour(a, q.x) + dotFour(b, q.y));
}
