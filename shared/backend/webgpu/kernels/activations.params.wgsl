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

// The column, of 16, that a byte of a word holds.
fn place(word: u32, byte: u32) -> u32 {
  if (FORM == 0u) { return word * 4u + byte; }
  return (word >> 1u) * 8u + (word & 1u) * 2u + (byte >> 1u) * 4u + (byte & 1u);
}
