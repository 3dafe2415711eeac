// x[t, d] = factor * table[token_t, d].  Source: Embedder.encode in recurrentgemma/torch/modules.py
// DTYPE: 0 f32, 1 f16, 2 rg8, 3 rg4. The layouts are drawn in wasm/assembly/ (f32.ts, f16.ts, rg8.ts, rg4.ts).

struct Params {
  tokens: u32, // in uploads (T)
  x: u32, // (T D)
  T: u32,
  D: u32,
  firstRow: u32, // of the table's part that is bound
  rows: u32,
  scalesAt: u32, // of the part's first row
  factor: f32,
}
@group(0) @binding(0) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let d = id.x;
  let t = id.y;
  if (d >= p.D || t >= p.T) { return; }
  let row = uploads[p.tokens + t] - p.firstRow;
  if (row >= p.rows) { return; } // in another part, also where the difference wrapped
  arena[p.x + t * p.D + d] = scaledWeight(row, d);
}

fn scaledWeight(row: u32, k: u32) -> f32 {
  let inTile = row & 15u;
  if (DTYPE < 2u) {
    let at = ((row >> 4u) * p.D + k) * 16u + inTile;
    if (DTYPE == 0u) { return p.factor * bitcast<f32>(tiles[at >> 2u][at & 3u]); }
    return p.factor * unpack2x16float(tiles[at >> 3u][(at >> 1u) & 3u])[at & 1u];
  }
  let block = (row >> 4u) * ((p.D + 31u) / 32u) + (k >> 5u);
  var product: i32;
  if (DTYPE == 2u) {
    let at = block * 528u;
    product = byteAt(at + 512u + inTile) * byteAt(at + ((k & 31u) >> 2u) * 64u + inTile * 4u + (k & 3u));
  } else {
    let at = block * 288u;
    let pair = byteAt(at + ((k & 31u) >> 3u) * 64u + inTile * 4u + (k & 3u));
    let nibble = (pair >> (k & 4u)) & 15;
    product = byteAt(at + 256u + inTile * 2u + ((k >> 1u) & 1u)) * (nibble - 8);
  }
  return (p.factor * rowScales[p.scalesAt + row]) * f32(product);
}

fn byteAt(at: u32) -> i32 {
  return extractBits(i32(tiles[at >> 4u][(at >> 2u) & 3u]), (at & 3u) * 8u, 8u);
}
