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
  position: u32, // of the call's row 0
  scale: f32, // K^-1/2
}
@group(0) @binding(0) var<uniform> p: Params;

// The oldest position that the query of row t sees, and how many.
fn oldest(t: u32) -> u32 {
  return select(0u, p.position + t + 1u - p.windowKeys, p.position + t + 1u > p.windowKeys);
}

// One key, head and row a thread.
@compute @workgroup_size(64)
fn scoreKeys(@builtin(global_invocation_id) id: vec3u) {
  let h = id.y;
  let t = id.z;
  let key = oldest(t) + id.x;
  if (id.x >= p.windowKeys || key > p.position + t) { return; }
  let q = p.q + (t * p.H + h) * p.K;
  let g = h * p.G / p.H;
  var sums = vec4f();
  for (var d = 0u; d < p.K; d += 4u) {
    let query = vec4f(arena[q + d], arena[q + d + 1u], arena[q + d + 2u], arena[q + d + 3u]);
    sums += query * vec4f(keyAt(key, g, d), keyAt(key, g, d + 1u), keyAt(key, g, d + 2u), keyAt(key, g, d + 3u));
  }
  arena[p.scores + (t * p.H + h) * p.windowKeys + id.x] = p.scale * (sums.x + sums.z + (sums.y + sums.w));
}

fn keyAt(position: u32, g: u32, d: u32) -> f32 {
  if (position >= p.position) { return arena[p.ownKeys + ((position - p.position) * p.G + g) * p.K + d]; }
  return ringNumber(p.keyRows, p.keyScales, ((position % p.W) * p.G + g) * p.K + d, p.K);
}

// One head and row a thread.
@compute @workgroup_size(64)
fn weighKeys(@builtin(global_invocation_id) id: vec3u) {
  let row = element(id);
  if (row >= p.T * p.H) { return; }
  let t = row / p.H;
  let count = p.position + t + 1u - oldest(t);
  let scores = p.scores + row * p.windowKeys;
  var largest = arena[scores];
  for (var i = 1u; i < count; i++) { largest = max(largest, arena[scores + i]); }
  var total = vec4f();
  for (var i = 0u; i < count; i++) {
    let difference = arena[scores + i] - largest;
    // expOf ends at e^-87; what is smaller still is nothing.
    let weight = select(0f, expOf(difference), difference > -87f);
    arena[scores + i] = weight;
    total[i & 3u] += weight;
  }
  arena[p.totals + row] = total.x + total.z + (total.y + total.w);
}

// One dimension, head and row a thread.
@compute @workgroup_size(64)
fn mixValues(@builtin(global_invocation_id) id: vec3u) {
  let d = id.x;
  let h = id.y;
  let t = id.z;
  if (d >= p.K) { return; }
  let g = h * p.G / p.H;
  let row = t * p.H + h;
  let first = oldest(t);
  let count = p.position + t + 1u - first;
  let scores = p.scores + row * p.windowKeys;
  var sum = 0f;
  for (var i = 0u; i < count; i++) { sum += arena[scores + i] * valueAt(first + i, g, d); }
  arena[p.out + row * p.K + d] = sum / arena[p.totals + row];
}

fn valueAt(position: u32, g: u32, d: u32) -> f32 {
  if (position >= p.position) { return arena[p.ownValues + ((position - p.position) * p.G + g) * p.K + d]; }
  return ringNumber(p.valueRows, p.valueScales, ((position % p.W) * p.G + g) * p.K + d, p.K);
}
