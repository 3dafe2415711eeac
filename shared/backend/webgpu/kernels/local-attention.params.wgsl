// out[t, h] = sum over p of softmax_p(q[t, h] k[p, g] / sqrt K) v[p, g], over the windowKeys newest positions up to the query's own,
// g = h G / H. In three dispatches: scores, their exponentials and sum, the weighted sum of values. Every sum runs over positions
// from the oldest on, so where a ring wraps or a prompt is split can't be told from the result.
// Source: LocalAttentionBlock in recurrentgemma/torch/modules.py

struct Params {
  q: u32, // (T H K) after RoPE
  ownKeys: u32, // (T G K) this call's, rounded as the ring rounds
  ownValues: u32,
  out: u32, // (T H K)
  scores: u32, // (T H windowKeys)
  totals: u32, // (T H)
  keyRows: u32, // in the state, words
  keyScales: u32,
  valueRows: u32,
  valueScales: u32,
  T: u32,
  H: u32,
  G: u32,
  K: u32, // a multiple of 4
  W: u32,
  windowKeys: u32, // that any query of this call can see, at most
  table: u32, // sequences.wgsl
  position: u32,
  scale: f32, // K^-1/2
}
@group(0) @binding(0) var<uniform> p: Params;

// The oldest position that the query of row t sees, and how many.
fn oldest(t: u32) -> u32 {
  let count = positionOf(t) + 1u;
  return select(0u, count - p.windowKeys, count > p.windowKeys);
}

// A number of a key or a value as the query of row t sees it: of this call, or out of the ring.
fn keyAt(t: u32, position: u32, g: u32, d: u32) -> f32 {
  let own = ownRow(t, position);
  if (own != NOT_OWN) { return arena[p.ownKeys + (own * p.G + g) * p.K + d]; }
  return ringNumber(stateOf(t) + p.keyRows, stateOf(t) + p.keyScales, ((position % p.W) * p.G + g) * p.K + d, p.K);
}

fn valueAt(t: u32, position: u32, g: u32, d: u32) -> f32 {
  let own = ownRow(t, position);
  if (own != NOT_OWN) { return arena[p.ownValues + (own * p.G + g) * p.K + d]; }
  return ringNumber(stateOf(t) + p.valueRows, stateOf(t) + p.valueScales, ((position % p.W) * p.G + g) * p.K + d, p.K);
}

const NOT_OWN = 0xffffffffu;

// The row of this call that is at a position of row t's sequence.
fn ownRow(t: u32, position: u32) -> u32 {
  let first = firstRowOf(t);
  let start = positionOf(first);
  return select(NOT_OWN, first + position - start, position >= start);
}
