// What the threads of a workgroup have summed up for 4 rows each, and their sum in the order of the threads.

var<workgroup> slices: array<vec4f, THREADS * TOKENS>;

fn sumOfSlices(token: u32, quad: u32) -> vec4f {
  var sum = vec4f();
  for (var slice = 0u; slice < THREADS; slice += 4u) { sum += slices[token * THREADS + slice + quad]; }
  return sum;
}
