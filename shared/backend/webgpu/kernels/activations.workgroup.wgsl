// Activations as int8 (activations.params.wgsl), a workgroup of 64 a group of 256: four numbers, one word a thread.

var<workgroup> sums: array<i32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let groups = (p.columns + 255u) / 256u;
  let row = workgroupIndex(group) / groups;
  if (row >= p.rows) { return; }
  let start = workgroupIndex(group) % groups * 256u;
  let x = p.x + row * p.columns;
  var numbers: vec4f;
  for (var byte = 0u; byte < 4u; byte++) {
    let column = start + (thread >> 2u) * 16u + place(thread & 3u, byte);
    if (column < p.columns) { numbers[byte] = arena[x + column]; }
  }
  let magnitudes = abs(numbers);
  let largest = largestOfAll(max(max(magnitudes.x, magnitudes.y), max(magnitudes.z, magnitudes.w)), thread);
  var inverse = 0f;
  var scale = 0f;
  if (largest > SMALLEST) {
    inverse = divide(127f, largest);
    scale = divide(largest, 127f);
  }
  let q = vec4i(round(numbers * inverse));
  sums[thread] = q.x + q.y + q.z + q.w;
  let bytes = bitcast<vec4u>(q) & vec4u(255u);
  let word = bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
  let block = thread >> 3u;
  let to = p.q + (row * ((p.columns + 31u) / 32u) + start / 32u + block) * 3u;
  let isThere = start + block * 32u < p.columns;
  if (isThere) { quantisedWords[to * 4u + (thread & 7u)] = word; } // by words: a store to a part of a vector may write all of it
  workgroupBarrier();
  if (isThere && (thread & 7u) == 0u) {
    let first = sums[thread] + sums[thread + 2u] + sums[thread + 4u] + sums[thread + 6u];
    let second = sums[thread + 1u] + sums[thread + 3u] + sums[thread + 5u] + sums[thread + 7u];
    quantisedWords[to * 4u + 8u] = bitcast<u32>(first * -8);
    quantisedWords[to * 4u + 9u] = bitcast<u32>(second * -8);
    quantisedWords[to * 4u + 10u] = bitcast<u32>(scale);
  }
}
