/**
 * softmax(q · k / √K) v over a sliding window, for queries in groups that share a key/value head.
 * Source: LocalAttentionBlock in recurrentgemma/torch/modules.py
 *
 * Keys and values come as dense f32 rows in the order of their positions: rows 0 … earlier − 1 out of the ring, then this call's own,
 * rounded as the ring would round them (ring.ts). Query t sees the `windowKeys` newest rows up to its own. Every sum runs over
 * positions from the oldest on, so where a ring wraps or a prompt is split can't be told from the result.
 */

import { exp4, sum4 } from "./vector-math";

/** One kv head and its `queries` query heads, for all T tokens. */
export function localAttention(
  q: usize, //      first of the group's heads in row 0 of (T H·K) f32
  qBytes: usize, // from one token's row of q, and of out, to the next
  keys: usize, //   (earlier + T, K) f32
  values: usize, // (earlier + T, K) f32
  out: usize, //    like q
  scores: usize, // room for 4 · ⌈(windowKeys + 3) / 4⌉ f32
  T: i32,
  queries: i32,
  K: i32, //        a multiple of 4
  earlier: i32, //  rows before this call's first
  windowKeys: i32,
  scale: f32, //    K^−½
): void {
  const rowBytes = <usize>K << 2;
  for (let t = 0; t < T; t++) {
    const last = earlier + t;
    const first = max(0, last - windowKeys + 1);
    const count = last - first + 1;
    for (let h = 0; h < queries; h++) {
      const query = q + <usize>t * qBytes + <usize>h * rowBytes;
      const largest = scoreAll(query, keys + <usize>first * rowBytes, scores, count, rowBytes, scale);
      const total = softmax(scores, count, largest);
      mix(scores, values + <usize>first * rowBytes, out + <usize>t * qBytes + <usize>h * rowBytes, count, rowBytes, 1 / total);
    }
  }
}

/** scores[p] = scale · q · k[p]; returns the largest. Four keys at a time share the loads of q; the rows after the last are not read. */
function scoreAll(q: usize, keys: usize, scores: usize, count: i32, rowBytes: usize, scale: f32): f32 {
  let largest: f32 = -Infinity;
  let p = 0;
  for (; p + 3 < count; p += 4) {
    let a = f32x4.splat(0), b = a, c = a, d = a;
    let at = keys;
    for (let x = q, end = q + rowBytes; x < end; x += 16, at += 16) {
      const query = v128.load(x);
      a = f32x4.add(a, f32x4.mul(query, v128.load(at)));
      b = f32x4.add(b, f32x4.mul(query, v128.load(at + rowBytes)));
      c = f32x4.add(c, f32x4.mul(query, v128.load(at + 2 * rowBytes)));
      d = f32x4.add(d, f32x4.mul(query, v128.load(at + 3 * rowBytes)));
    }
    const sums = f32x4.mul(sumEach(a, b, c, d), f32x4.splat(scale));
    v128.store(scores + (<usize>p << 2), sums);
    largest = max(largest, max(max(f32x4.extract_lane(sums, 0), f32x4.extract_lane(sums, 1)), max(f32x4.extract_lane(sums, 2), f32x4.extract_lane(sums, 3))));
    keys += 4 * rowBytes;
  }
  for (; p < count; p++) {
    let a = f32x4.splat(0);
    for (let x = q, end = q + rowBytes; x < end; x += 16, keys += 16) a = f32x4.add(a, f32x4.mul(v128.load(x), v128.load(keys)));
    const score = sum4(a) * scale;
    store<f32>(scores + (<usize>p << 2), score);
    largest = max(largest, score);
  }
  return largest;
}

/** The lanes of each of four vectors added up, in the order of `sum4`. */
// @ts-ignore: decorator
@inline function sumEach(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(i32x4.shuffle(a, b, 0, 1, 4, 5), i32x4.shuffle(a, b, 2, 3, 6, 7)); // a0+a2 a1+a3 b0+b2 b1+b3
  const cd = f32x4.add(i32x4.shuffle(c, d, 0, 1, 4, 5), i32x4.shuffle(c, d, 2, 3, 6, 7));
  return f32x4.add(i32x4.shuffle(ab, cd, 0, 2, 4, 6), i32x4.shuffle(ab, cd, 1, 3, 5, 7));
}

/** scores ← exp(scores − largest); returns their sum. What pads the last vector counts as −∞. */
function softmax(scores: usize, count: i32, largest: f32): f32 {
  for (let p = count; p & 3; p++) store<f32>(scores + (<usize>p << 2), -Infinity);
  let total = f32x4.splat(0);
  const shift = f32x4.splat(largest);
  for (let at = scores, end = scores + (<usize>count << 2); at < end; at += 16) {
    const difference = f32x4.sub(v128.load(at), shift);
    // exp4 ends at e⁻⁸⁷; what is smaller still is nothing, and padding is nothing at all.
    const weight = v128.and(exp4(difference), f32x4.gt(difference, f32x4.splat(-87)));
    v128.store(at, weight);
    total = f32x4.add(total, weight);
  }
  return sum4(total);
}

/** out = factor · Σ_p weights[p] · v[p], p ascending. Sixteen dimensions at a time stay in registers, the rest by fours. */
function mix(weights: usize, values: usize, out: usize, count: i32, rowBytes: usize, factor: f32): void {
  const factors = f32x4.splat(factor);
  const weightsEnd = weights + (<usize>count << 2);
  let d: usize = 0;
  for (; d + 64 <= rowBytes; d += 64) {
    let a = f32x4.splat(0), b = a, c = a, e = a;
    let at = values + d;
    for (let p = weights; p < weightsEnd; p += 4) {
      const weight = v128.load32_splat(p);
      a = f32x4.add(a, f32x4.mul(weight, v128.load(at)));
      b = f32x4.add(b, f32x4.mul(weight, v128.load(at, 16)));
      c = f32x4.add(c, f32x4.mul(weight, v128.load(at, 32)));
      e = f32x4.add(e, f32x4.mul(weight, v128.load(at, 48)));
      at += rowBytes;
    }
    v128.store(out + d, f32x4.mul(a, factors));
    v128.store(out + d, f32x4.mul(b, factors), 16);
    v128.store(out + d, f32x4.mul(c, factors), 32);
    v128.store(out + d, f32x4.mul(e, factors), 48);
  }
  for (; d < rowBytes; d += 16) {
    let a = f32x4.splat(0);
    let at = values + d;
    for (let p = weights; p < weightsEnd; p += 4, at += rowBytes) a = f32x4.add(a, f32x4.mul(v128.load32_splat(p), v128.load(at)));
    v128.store(out + d, f32x4.mul(a, factors));
  }
}
