// Sums and maxima over a workgroup of THREADS. One barrier before and one after, and every thread adds up all numbers in the order of
// the threads: the same bits whatever the size of a subgroup is.

var<workgroup> gathered: array<f32, THREADS>;

fn sumOfAll(x: f32, thread: u32) -> f32 {
  workgroupBarrier();
  gathered[thread] = x;
  workgroupBarrier();
  var sums = vec4f();
  for (var i = 0u; i < THREADS; i += 4u) { sums += vec4f(gathered[i], gathered[i + 1u], gathered[i + 2u], gathered[i + 3u]); }
  return sums.x + sums.z + (sums.y + sums.w);
}

fn largestOfAll(x: f32, thread: u32) -> f32 {
  workgroupBarrier();
  gathered[thread] = x;
  workgroupBarrier();
  var largest = gathered[0];
  for (var i = 1u; i < THREADS; i++) { largest = max(largest, gathered[i]); }
  return largest;
}
