// Local attention (local-attention.params.wgsl) with a workgroup for the sums over positions.

// One head and row a workgroup.
@compute @workgroup_size(THREADS)
fn weighKeys(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = workgroupIndex(group);
  if (row >= p.T * p.H) { return; }
  let t = row / p.H;
  let count = positionOf(t) + 1u - oldest(t);
  let scores = p.scores + row * p.windowKeys;
  var most = arena[scores];
  for (var i = thread; i < count; i += THREADS) { most = max(most, arena[scores + i]); }
  let largest = largestOfAll(most, thread);
  var total = 0f;
  for (var i = thread; i < count; i += THREADS) {
    let difference = arena[scores + i] - largest;
    let weight = select(0f, expOf(difference), difference > -87f);
    arena[scores + i] = weight;
    total += weight;
  }
  total = sumOfAll(total, thread);
  if (thread == 0u) { arena[p.totals + row] = total; }
}

// 16 dimensions of one head and row a workgroup, in 8 slices of the positions.
@compute @workgroup_size(THREADS)
fn mixValues(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let d = group.x * 16u + (thread & 15u);
  let h = group.y;
  let t = group.z;
  let g = h * p.G / p.H;
  let row = t * p.H + h;
  let first = oldest(t);
  let count = positionOf(t) + 1u - first;
  let scores = p.scores + row * p.windowKeys;
  var sum = 0f;
  if (d < p.K) {
    for (var i = thread >> 4u; i < count; i += THREADS / 16u) { sum += arena[scores + i] * valueAt(t, first + i, g, d); }
  }
  gathered[thread] = sum;
  workgroupBarrier();
  if (thread >= 16u || d >= p.K) { return; }
  for (var slice = thread + 16u; slice < THREADS; slice += 16u) { sum += gathered[slice]; }
  arena[p.out + row * p.K + d] = sum / arena[p.totals + row];
}
