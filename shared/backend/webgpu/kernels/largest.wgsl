// The `count` largest numbers of each chunk of a row, from the largest on, among equals the lowest column first; a workgroup a chunk.
// Each is found by going through the chunk once more for the largest that comes after the one before. The host repeats this on what
// was found until one chunk is left.

struct Params {
  values: u32, // (rows n)
  columns: u32, // (rows n) as f32, exact up to 2^24; or NUMBERED: the columns are 0 ... n-1
  outValues: u32, // (rows chunks count)
  outColumns: u32, // (rows chunks count)
  n: u32,
  count: u32,
  chunks: u32,
}
@group(0) @binding(0) var<uniform> p: Params;

const NUMBERED = 0xffffffffu;
// After every number: what a chunk with fewer numbers than `count` ends with.
const NOTHING = vec2f(-3.4028234e38f, 16777216f);

var<workgroup> best: array<vec2f, THREADS>;

// Whether a, a number and its column, comes before b.
fn comesBefore(a: vec2f, b: vec2f) -> bool {
  return a.x > b.x || (a.x == b.x && a.y < b.y);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = group.y;
  let start = group.x * CHUNK;
  let end = min(start + CHUNK, p.n);
  let out = (row * p.chunks + group.x) * p.count;
  var before = vec2f(3.4028234e38f, -1f);
  for (var found = 0u; found < p.count; found++) {
    var mine = NOTHING;
    for (var i = start + thread; i < end; i += THREADS) {
      var candidate = vec2f(arena[p.values + row * p.n + i], f32(i));
      if (p.columns != NUMBERED) { candidate.y = arena[p.columns + row * p.n + i]; }
      if (comesBefore(before, candidate) && comesBefore(candidate, mine)) { mine = candidate; }
    }
    workgroupBarrier();
    best[thread] = mine;
    workgroupBarrier();
    for (var i = 0u; i < THREADS; i++) { if (comesBefore(best[i], mine)) { mine = best[i]; } }
    if (thread == 0u) {
      arena[p.outValues + out + found] = mine.x;
      arena[p.outColumns + out + found] = mine.y;
    }
    before = mine;
  }
}
