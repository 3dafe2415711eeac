/**
 * f32 rows → rg4 and rg8 tiles (layouts: rg4.ts, rg8.ts), for conversion.   weight ≈ rowScale · blockScale · integer
 *
 * A row scale makes the largest weight of the row reach the largest block scale and integer. Each block scale is then the int8 with
 * the least squared error, searched ±30 % around the one that just reaches the block's largest weight; rg4 tries both signs, since
 * its integers reach −8 but only 7.
 */

const LARGEST_SCALE: f32 = 127;
const RG4_BLOCK_BYTES: usize = 288;
const RG8_BLOCK_BYTES: usize = 528;

const scaledBlock = memory.data(128, 16); // 32 f32: a block in units of the row scale
const integers = memory.data(128, 16); //    32 i32

/** One tile. `rows` (1 … 16) rows of x, f32 (rows, K); missing rows and k are zeros. Writes ⌈K/32⌉ blocks and 16 row scales. */
export function packRg4(x: usize, rows: i32, K: i32, tile: usize, rowScales: usize): void {
  memory.fill(tile, 0, (<usize>(K + 31) >> 5) * RG4_BLOCK_BYTES);
  for (let row = 0; row < 16; row++) {
    const isThere = row < rows;
    const rowScale = isThere ? rowScaleOf(x, K, 7 * LARGEST_SCALE) : 0;
    const inverse: f32 = rowScale > 0 ? 1 / rowScale : 0;
    store<f32>(rowScales + (<usize>row << 2), rowScale);
    let block = tile;
    for (let k = 0; k < K; k += 32) {
      loadBlock(x + (<usize>k << 2), isThere ? K - k : 0, inverse);
      for (let half = 0; half < 2; half++) {
        // Weights with k mod 4 in {0, 1} or {2, 3}: the lower or the upper lanes of the eight vectors.
        const a = halves(scaledBlock, half), b = halves(scaledBlock + 32, half);
        const c = halves(scaledBlock + 64, half), d = halves(scaledBlock + 96, half);
        const scale = bestScale(a, b, c, d, a, b, c, d, 7, -8, true);
        store<i8>(block + 256 + <usize>(row * 2 + half), <i8>scale);
        storeHalves(integers, half, a, b, c, d, scale);
      }
      for (let k = 0; k < 32; k++) {
        const to = block + <usize>((k >> 3) * 64 + row * 4 + (k & 3));
        const nibble = <u8>(load<i32>(integers + (<usize>k << 2)) + 8);
        store<u8>(to, load<u8>(to) | (nibble << <u8>(k & 4)));
      }
      block += RG4_BLOCK_BYTES;
    }
    if (isThere) x += <usize>K << 2;
  }
}

/** As `packRg4`, in 8 bits. */
export function packRg8(x: usize, rows: i32, K: i32, tile: usize, rowScales: usize): void {
  for (let row = 0; row < 16; row++) {
    const isThere = row < rows;
    const rowScale = isThere ? rowScaleOf(x, K, 127 * LARGEST_SCALE) : 0;
    const inverse: f32 = rowScale > 0 ? 1 / rowScale : 0;
    store<f32>(rowScales + (<usize>row << 2), rowScale);
    let block = tile;
    for (let k = 0; k < K; k += 32) {
      loadBlock(x + (<usize>k << 2), isThere ? K - k : 0, inverse);
      const a = v128.load(scaledBlock), b = v128.load(scaledBlock, 16), c = v128.load(scaledBlock, 32), d = v128.load(scaledBlock, 48);
      const e = v128.load(scaledBlock, 64), f = v128.load(scaledBlock, 80), g = v128.load(scaledBlock, 96), h = v128.load(scaledBlock, 112);
      const scale = bestScale(a, b, c, d, e, f, g, h, 127, -127, false);
      store<i8>(block + 512 + <usize>row, <i8>scale);
      for (let at: usize = 0; at < 128; at += 16) v128.store(integers + at, rounded(v128.load(scaledBlock + at), scale, 127, -127));
      for (let k = 0; k < 32; k++)
        store<i8>(block + <usize>((k >> 2) * 64 + row * 4 + (k & 3)), <i8>load<i32>(integers + (<usize>k << 2)));
      block += RG8_BLOCK_BYTES;
    }
    if (isThere) x += <usize>K << 2;
  }
}

/** The largest weight of a row is `steps` row scales. A subnormal scale has few digits and no inverse: a row so small is zeros. */
function rowScaleOf(x: usize, n: i32, steps: f32): f32 {
  let largest: f32 = 0;
  for (let end = x + (<usize>n << 2); x < end; x += 4) largest = max(largest, abs(load<f32>(x)));
  const scale = largest / steps;
  return scale >= f32.MIN_NORMAL_VALUE ? scale : 0;
}

/** `there` numbers of a row, in units of its scale; zeros up to 32. */
function loadBlock(x: usize, there: i32, inverse: f32): void {
  for (let k = 0; k < 32; k++) store<f32>(scaledBlock + (<usize>k << 2), k < there ? load<f32>(x + (<usize>k << 2)) * inverse : 0);
}

/** Two vectors' lower (half 0) or upper lanes as one. */
// @ts-ignore: decorator
@inline function halves(at: usize, half: i32): v128 {
  const a = v128.load(at);
  const b = v128.load(at, 16);
  return half == 0 ? i32x4.shuffle(a, b, 0, 1, 4, 5) : i32x4.shuffle(a, b, 2, 3, 6, 7);
}

function storeHalves(to: usize, half: i32, a: v128, b: v128, c: v128, d: v128, scale: f32): void {
  storePairs(to + <usize>(half << 3), rounded(a, scale, 7, -8));
  storePairs(to + <usize>(half << 3) + 32, rounded(b, scale, 7, -8));
  storePairs(to + <usize>(half << 3) + 64, rounded(c, scale, 7, -8));
  storePairs(to + <usize>(half << 3) + 96, rounded(d, scale, 7, -8));
}

// @ts-ignore: decorator
@inline function storePairs(to: usize, values: v128): void {
  v128.store64_lane(to, values, 0);
  v128.store64_lane(to + 16, values, 1);
}

/** The integers that stand for x at a scale, i32. A scale of 0 stands for zeros. */
// @ts-ignore: decorator
@inline function rounded(x: v128, scale: f32, most: f32, least: f32): v128 {
  return i32x4.trunc_sat_f32x4_s(nearestInteger(x, f32x4.splat(scale == 0 ? 0 : 1 / scale), f32x4.splat(most), f32x4.splat(least)));
}

// @ts-ignore: decorator
@inline function nearestInteger(x: v128, inverse: v128, most: v128, least: v128): v128 {
  return f32x4.pmin(f32x4.pmax(f32x4.nearest(f32x4.mul(x, inverse)), least), most);
}

/** The scale with the least squared error for up to 32 numbers; the first of equals. 16 numbers are handed in twice. */
function bestScale(a: v128, b: v128, c: v128, d: v128, e: v128, f: v128, g: v128, h: v128, most: f32, least: f32, bothSigns: bool): f32 {
  const largest = f32x4.pmax(
    f32x4.pmax(f32x4.pmax(f32x4.abs(a), f32x4.abs(b)), f32x4.pmax(f32x4.abs(c), f32x4.abs(d))),
    f32x4.pmax(f32x4.pmax(f32x4.abs(e), f32x4.abs(f)), f32x4.pmax(f32x4.abs(g), f32x4.abs(h))),
  );
  const reaching = max(max(f32x4.extract_lane(largest, 0), f32x4.extract_lane(largest, 1)), max(f32x4.extract_lane(largest, 2), f32x4.extract_lane(largest, 3))) / most;
  if (reaching == 0) return 0;
  const end = min<f32>(LARGEST_SCALE, ceil<f32>(reaching * 1.3));
  let best: f32 = 1;
  let leastError: f32 = Infinity;
  const mosts = f32x4.splat(most);
  const leasts = f32x4.splat(least);
  for (let size = max<f32>(1, floor<f32>(reaching * 0.7)); size <= end; size += 1) {
    for (let scale = size; ; scale = -size) {
      const s = f32x4.splat(scale);
      const i = f32x4.splat(1 / scale);
      let errors = f32x4.add(
        f32x4.add(squaredError(a, s, i, mosts, leasts), squaredError(b, s, i, mosts, leasts)),
        f32x4.add(squaredError(c, s, i, mosts, leasts), squaredError(d, s, i, mosts, leasts)),
      );
      if (!bothSigns)
        errors = f32x4.add(errors, f32x4.add(
          f32x4.add(squaredError(e, s, i, mosts, leasts), squaredError(f, s, i, mosts, leasts)),
          f32x4.add(squaredError(g, s, i, mosts, leasts), squaredError(h, s, i, mosts, leasts)),
        ));
      const error = f32x4.extract_lane(errors, 0) + f32x4.extract_lane(errors, 1) + f32x4.extract_lane(errors, 2) + f32x4.extract_lane(errors, 3);
      if (error < leastError) {
        leastError = error;
        best = scale;
      }
      if (!bothSigns || scale < 0) break;
    }
  }
  return best;
}

// @ts-ignore: decorator
@inline function squaredError(x: v128, scale: v128, inverse: v128, most: v128, least: v128): v128 {
  const error = f32x4.sub(x, f32x4.mul(scale, nearestInteger(x, inverse, most, least)));
  return f32x4.mul(error, error);
}
