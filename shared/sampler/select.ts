/** Which tokens come first, until they hold enough probability? Answered by a quickselect that weighs what it sets aside:
 *  linear in expectation, and only the last few tokens around the boundary are ever sorted. */

/** Below this many tokens, sorting is faster than another partition. */
const SORTED_DIRECTLY = 24;

/** Reorders ids[0 … count) so that the shortest run of first tokens whose mass reaches `target` is at its front, its
 *  last token in order at its end, and returns the run's length (`count` if all together don't reach it).
 *  Tokens with a larger key come first, among equals the lower id. Without `mass`, each token weighs 1.
 *  Masses are whole numbers and their sum stays below 2⁵³, so that every sum is exact and its order doesn't matter. */
export function shortestPrefix(
  ids: Uint32Array,
  count: number,
  key: Float64Array,
  mass: Float64Array | undefined,
  target: number,
): number {
  let from = 0; // ids[0 … from) are in the run, and `missing` is what they leave to reach
  let to = count; // ids[to … count) are not, unless nothing reaches the target
  let missing = target;
  while (to - from > SORTED_DIRECTLY) {
    const middle = partition(ids, from, to, key);
    const sum = mass === undefined ? middle - from : massOf(ids, from, middle, mass);
    if (sum >= missing) {
      to = middle;
    } else {
      missing -= sum;
      from = middle;
    }
  }
  sort(ids, from, to, key);
  for (let i = from; i < to; i++) {
    missing -= mass === undefined ? 1 : mass[ids[i]!]!;
    if (missing <= 0) return i + 1;
  }
  return to;
}

/** Hoare's partition of ids[from … to): all before the returned index come before all from it on; neither is empty. */
function partition(ids: Uint32Array, from: number, to: number, key: Float64Array): number {
  const quarter = (to - from) >>> 2;
  const pivot = medianOfThree(ids[from + quarter]!, ids[from + 2 * quarter]!, ids[from + 3 * quarter]!, key);
  const pivotKey = key[pivot]!;
  let i = from - 1;
  let j = to;
  for (;;) {
    let left: number;
    let right: number;
    let leftKey: number;
    let rightKey: number;
    do {
      left = ids[++i]!;
      leftKey = key[left]!;
    } while (leftKey > pivotKey || (leftKey === pivotKey && left < pivot));
    do {
      right = ids[--j]!;
      rightKey = key[right]!;
    } while (rightKey < pivotKey || (rightKey === pivotKey && right > pivot));
    if (i >= j) return j + 1;
    ids[i] = right;
    ids[j] = left;
  }
}

function medianOfThree(a: number, b: number, c: number, key: Float64Array): number {
  if (comesBefore(a, b, key)) {
    if (comesBefore(b, c, key)) return b;
    return comesBefore(a, c, key) ? c : a;
  }
  if (comesBefore(a, c, key)) return a;
  return comesBefore(b, c, key) ? c : b;
}

/** Insertion sort of ids[from … to). */
function sort(ids: Uint32Array, from: number, to: number, key: Float64Array): void {
  for (let i = from + 1; i < to; i++) {
    const id = ids[i]!;
    let j = i;
    while (j > from && comesBefore(id, ids[j - 1]!, key)) {
      ids[j] = ids[j - 1]!;
      j--;
    }
    ids[j] = id;
  }
}

function comesBefore(a: number, b: number, key: Float64Array): boolean {
  const keyA = key[a]!;
  const keyB = key[b]!;
  return keyA > keyB || (keyA === keyB && a < b);
}

function massOf(ids: Uint32Array, from: number, to: number, mass: Float64Array): number {
  let sum = 0;
  for (let i = from; i < to; i++) sum += mass[ids[i]!]!;
  return sum;
}
