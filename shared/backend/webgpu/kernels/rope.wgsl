// Rotary positions on the first `2 half` dimensions of each head, as pairs (j, j + half), in place. The angles come from the host,
// in f64 where they are made: in f32 their sine is off by 2e-3 at position 131,072.
// Source: apply_rope in recurrentgemma/torch/modules.py

struct Params {
  x: u32, // (T columns)
  angles: u32, // (T half) cosines, then as many sines, in uploads
  T: u32,
  columns: u32,
  headDim: u32,
  half: u32,
}
@group(0) @binding(0) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let pair = id.x; // of all heads of a row
  let t = id.y;
  if (pair >= p.columns / p.headDim * p.half) { return; }
  let j = pair % p.half;
  let at = p.x + t * p.columns + pair / p.half * p.headDim + j;
  let angle = p.angles + t * p.half + j;
  let cosine = bitcast<f32>(uploads[angle]);
  let sine = bitcast<f32>(uploads[angle + p.T * p.half]);
  let a = arena[at];
  let b = arena[at + p.half];
  arena[at] = a * cosine - b * sine;
  arena[at + p.half] = a * sine + b * cosine;
}
