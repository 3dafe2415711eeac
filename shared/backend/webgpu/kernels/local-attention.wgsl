// Local attention (local-attention.params.wgsl) without barriers. Scores are computed so on every GPU.

// One key, head and row a thread.
@compute @workgroup_size(64)
fn scoreKeys(@builtin(global_invocation_id) id: vec3u) {
  let h = id.y;
  let t = id.z;
  let key = oldest(t) + id.x;
  if (id.x >= p.windowKeys || key > positionOf(t)) { return; }
  let q = p.q + (t * p.H + h) * p.K;
  let g = h * p.G / p.H;
  var sums = vec4f();
  for (var d = 0u; d < p.K; d += 4u) {
    let query = vec4f(arena[q + d], arena[q + d + 1u], arena[q + d + 2u], arena[q + d + 3u]);
    sums += query * vec4f(keyAt(t, key, g, d), keyAt(t, key, g, d + 1u), keyAt(t, key, g, d + 2u), keyAt(t, key, g, d + 3u));
  }
  arena[p.scores + (t * p.H + h) * p.windowKeys + id.x] = p.scale * (sums.x + sums.z + (sums.y + sums.w));
}

// One head and row a thread.
@compute @workgroup_size(64)
fn weighKeys(@builtin(global_invocation_id) id: vec3u) {
  let row = element(id);
  if (row >= p.T * p.H) { return; }
  let t = row / p.H;
  let count = positionOf(t) + 1u - oldest(t);
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
  let count = positionOf(t) + 1u - first;
  let scores = p.scores + row * p.windowKeys;
  var sum = 0f;
  for (var i = 0u; i < count; i++) { sum += arena[scores + i] * valueAt(t, first + i, g, d); }
  arena[p.out + row * p.K + d] = sum / arena[p.totals + row];
}
