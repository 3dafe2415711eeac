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
const NO_COLUMN = 16777216f; // 2^24, of what is none of the row's numbers
const MOST = 3.4028234e38f;
// After every number: what a chunk with fewer numbers than `count` ends with.
const NOTHING = vec2f(-MOST, NO_COLUMN);
// Before every number: all that is found in a chunk with NaN or +Infinity in it. Written with NO_COLUMN, so that all of the row becomes it.
const WRONG = vec2f(MOST, -1f);

var<workgroup> best: array<vec2f, THREADS>;

// Whether a, a number and its column, comes before b.
fn comesBefore(a: vec2f, b: vec2f) -> bool {
  return a.x > b.x || (a.x == b.x && a.y < b.y);
}

// A number of the row and its column. The tests are of bits, since WGSL lets a compiler take it that NaN and infinities don't occur.
fn candidateAt(at: u32, i: u32) -> vec2f {
  let number = arena[p.values + at];
  let bits = bitcast<u32>(number);
  var column = f32(i);
  if (p.columns != NUMBERED) { column = arena[p.columns + at]; }
  if (bits == 0xff800000u) { return vec2f(-MOST, column); } // -Infinity, which the host puts back
  if ((bits & 0x7fffffffu) > 0x7f7fffffu || (column == NO_COLUMN && number > 0f)) { return WRONG; }
  return vec2f(number, column);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = group.y;
  let start = group.x * CHUNK;
  let end = min(start + CHUNK, p.n);
  let out = (row * p.chunks + group.x) * p.count;
  var before = WRONG;
  for (var found = 0u; found < p.count; found++) {
    var mine = NOTHING;
    for (var i = start + thread; i < end; i += THREADS) {
      let candidate = candidateAt(row * p.n + i, i);
      let isNext = comesBefore(before, candidate) || candidate.y == WRONG.y;
      if (isNext && comesBefore(candidate, mine)) { mine = candidate; }
    }
    workgroupBarrier();
    best[thread] = mine;
    workgroupBarrier();
    for (var i = 0u; i < THREADS; i++) { if (comesBefore(best[i], mine)) { mine = best[i]; } }
    if (thread == 0u) {
      arena[p.outValues + out + found] = mine.x;
      arena[p.outColumns + out + found] = select(mine.y, NO_COLUMN, mine.y == WRONG.y);
    }
    before = mine;
  }
}
