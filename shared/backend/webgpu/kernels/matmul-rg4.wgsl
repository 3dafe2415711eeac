// A block of rg4 (wasm/assembly/rg4.ts): 16 rows x 32 columns in 18 vec4u.
//
//    [g 0..3][rows 4r ... 4r+3, r 0..3]  a word: k = 8g ... 8g+3 in low nibbles, 8g+4 ... 8g+7 in high ones, weight + 8
//    then 16 rows of two int8 scales: k mod 4 in {0, 1}, k mod 4 in {2, 3}
//
// The columns of one scale are put side by side, (k0 k1 k4 k5) and (k2 k3 k6 k7), as the activations lie (activations.wgsl). Those
// bring -8 times their sums along, which takes the nibbles' offset out again.

const BLOCK_VECTORS = 18u;

struct Halves {
  a: vec4u, // (k0 k1 k4 k5) of four rows
  b: vec4u, // (k2 k3 k6 k7)
}

fn halves(w: vec4u) -> Halves {
  return Halves(
    (w & vec4u(0x00000f0fu)) | ((w & vec4u(0x0000f0f0u)) << vec4u(12u)),
    ((w >> vec4u(16u)) & vec4u(0x00000f0fu)) | ((w >> vec4u(4u)) & vec4u(0x0f0f0000u)),
  );
}

// sums for k mod 4 in {0, 1}, and those for {2, 3}, times their block scales
fn scaled(block: u32, r: u32, first: vec4i, second: vec4i) -> vec4i {
  let eight = tiles[block + 16u + (r >> 1u)];
  let scales = select(eight.xy, eight.zw, (r & 1u) == 1u);
  let low = signedBytes(scales.x); // two rows, two scales each
  let high = signedBytes(scales.y);
  return vec4i(low.xz, high.xz) * first + vec4i(low.yw, high.yw) * second;
}

fn addBlock(sums: ptr<function, array<vec4i, TOKENS>>, block: u32, r: u32, x: ptr<function, array<u32, TOKENS>>) {
  var first: array<vec4i, TOKENS>;
  var second: array<vec4i, TOKENS>;
  for (var t = 0u; t < TOKENS; t++) {
    let seeds = bitcast<vec4i>(quantised[(*x)[t] + 2u]);
    first[t] = vec4i(seeds.x);
    second[t] = vec4i(seeds.y);
  }
  for (var g = 0u; g < 4u; g++) {
    let w = halves(tiles[block + g * 4u + r]);
    for (var t = 0u; t < TOKENS; t++) {
      let q = quantised[(*x)[t] + (g >> 1u)];
      let pair = select(q.xy, q.zw, (g & 1u) == 1u);
      first[t] += dotFour(w.a, pair.x);
      second[t] += dotFour(w.b, pair.y);
    }
  }
  for (var t = 0u; t < TOKENS; t++) { (*sums)[t] += scaled(block, r, first[t], second[t]); }
}

fn partOfBlock(block: u32, r: u32, part: u32, x: u32) -> vec4i {
  let w = halves(tiles[block + part * 4u + r]);
  let eight = quantised[x + (part >> 1u)];
  let q = select(eight.xy, eight.zw, (part & 1u) == 1u);
  // The offset of 8 again, here for these 8 columns alone.
  let first = vec4i(-dotBytes(0x08080808u, q.x)) + dotFour(w.a, q.x);
  let second = vec4i(-dotBytes(0x08080808u, q.y)) + dotFour(w.b, q.y);
  return scaled(block, r, first, second);
}
