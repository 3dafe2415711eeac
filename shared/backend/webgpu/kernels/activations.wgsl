// What a product with quantised weights makes of its activations (reference/activations.ts): int8 with one scale per group of 256,
// of each row and of each block of a gate.
//     scale = max |x| / 127    q = x (127 / max |x|) to the nearest integer, half to even
//
// Every 32 columns become 3 vec4u:
//    [8 words of four int8][sums, scale, unused]
//    FORM 0 (rg8): words are k0 k1 k2 k3
//    FORM 1 (rg4): words are k0 k1 k4 k5 and k2 k3 k6 k7 of every 8; sums are -8 times the sum of all the former and all the latter

struct Params {
  x: u32, // (rows columns): a row is a token's, or a block's of a token's
  q: u32, // in quantised
  rows: u32,
  columns: u32,
}
@group(0) @binding(0) var<uniform> p: Params;

const SMALLEST = 1e-30f; // a group with nothing larger counts as zeros: 127 / max must stay finite

// One thread a group.
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let groups = (p.columns + 255u) / 256u;
  let row = element(id) / groups;
  let start = element(id) % groups * 256u;
  if (row >= p.rows) { return; }
  let x = p.x + row * p.columns;
  let end = min(start + 256u, p.columns);
  var largest = 0f;
  for (var k = start; k < end; k++) { largest = max(largest, abs(arena[x + k])); }
  var inverse = 0f;
  var scale = 0f;
  if (largest > SMALLEST) {
    inverse = divide(127f, largest);
    scale = divide(largest, 127f);
  }
  let blocks = (p.columns + 31u) / 32u;
  var to = p.q + (row * blocks + start / 32u) * 3u;
  for (var k = start; k < end; k += 32u) {
    var sums = vec2i(0);
    for (var half = 0u; half < 2u; half++) {
      var words: vec4u;
      for (var i = 0u; i < 4u; i++) {
        var word = 0u;
        for (var byte = 0u; byte < 4u; byte++) {
          let column = k + half * 16u + place(i, byte);
          if (column < p.columns) {
            let q = i32(round(arena[x + column] * inverse));
            if ((i & 1u) == 0u) { sums.x += q; } else { sums.y += q; }
            word |= (bitcast<u32>(q) & 255u) << (8u * byte);
          }
        }
        words[i] = word;
      }
      quantised[to + half] = words;
    }
    quantised[to + 2u] = vec4u(bitcast<vec2u>(sums * -8), bitcast<u32>(scale), 0u);
    to += 3u;
  }
}

// The column, of 16, that a byte of a word holds.
fn place(word: u32, byte: u32) -> u32 {
  if (FORM == 0u) { return word * 4u + byte; }
  return (word >> 1u) * 8u + (word & 1u) * 2u + (byte >> 1u) * 4u + (byte & 1u);
}
