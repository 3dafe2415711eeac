// Activations as int8 (activations.params.wgsl), one thread a group of 256.

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let groups = (p.columns + 255u) / 256u;
  let row = element(id) / groups;
  let start = element(id) % groups * 256u;
  if (row >= p.rows) { return; }
  let x = p.x + row * p.columns;
  let end = min(start + 256u, p.columns);
  var largest = 0f;
  for (var k = start; k < end; k++) { largest = max(largest, abs(arena[x + k])); }
  var inverse = 0f;
  var scale = 0f;
  if (largest > SMALLEST) {
    inverse = divide(127f, largest);
    scale = divide(largest, 127f);
  }
  let blocks = (p.columns + 31u) / 32u;
  var to = p.q + (row * blocks + start / 32u) * 3u;
  for (var k = start; k < end; k += 32u) {
    var sums = vec2i(0);
    for (var half = 0u; half < 2u; half++) {
      var words: vec4u;
      for (var i = 0u; i < 4u; i++) {
        var word = 0u;
        for (var byte = 0u; byte < 4u; byte++) {
          let column = k + half * 16u + place(i, byte);
          if (column < p.columns) {
            let q = i32(round(arena[x + column] * inverse));
            if ((i & 1u) == 0u) { sums.x += q; } else { sums.y += q; }
            word |= (bitcast<u32>(q) & 255u) << (8u * byte);
          }
        }
        words[i] = word;
      }
      quantised[to + half] = words;
    }
    quantised[to + 2u] = vec4u(bitcast<vec2u>(sums * -8), bitcast<u32>(scale), 0u);
    to += 3u;
  }
}
