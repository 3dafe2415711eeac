/**
 * softmax(q · k / √K) v over a sliding window, for queries in groups that share a key/value head.
 * Source: LocalAttentionBlock in recurrentgemma/torch/modules.py
 *
 * Keys and values come as dense f32 rows in the order of their positions: rows 0 … earlier − 1 out of the ring, then this call's own,
 * rounded as the ring would round them (ring.ts). Query t sees the `windowKeys` newest rows up to its own. Every sum runs over
 * positions from the oldest on, so where a ring wraps or a prompt is split can't be told from the result.
 *
 * Query heads go in pairs, which share the loads of keys and values; an odd one is computed twice.
 */

import { exp4, sum4 } from "./vector-math";

/** One kv head and its `queries` query heads, for all T tokens. */
export function localAttention(
  q: usize, //      first of the group's heads in row 0 of (T H·K) f32
  qBytes: usize, // from one token's row of q, and of out, to the next
  keys: usize, //   (earlier + T, K) f32
  values: usize, // (earlier + T, K) f32
  out: usize, //    like q
  scores: usize, // room for 2 · 4 · ⌈windowKeys / 4⌉ f32
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
    const others = scores + (<usize>((count + 3) & ~3) << 2);
    for (let h = 0; h < queries; h += 2) {
      const head = <usize>h * rowBytes;
      const other = <usize>min(h + 1, queries - 1) * rowBytes;
      scoreBoth(q + head, q + other, keys + <usize>first * rowBytes, scores, others, count, rowBytes, scale);
      const factor: f32 = 1 / softmax(scores, count);
      const otherFactor: f32 = 1 / softmax(others, count);
      mixBoth(scores, others, values + <usize>first * rowBytes, out + head, out + other, count, rowBytes, factor, otherFactor);
    }
    q += qBytes;
    out += qBytes;
  }
}

/** scores[p] = scale · q · k[p] for two heads. Four keys at a time share the loads of both queries; the rows after the last are not read. */
function scoreBoth(q0: usize, q1: usize, keys: usize, scores0: usize, scores1: usize, count: i32, rowBytes: usize, scale: f32): void {
  const scales = f32x4.splat(scale);
  const between = q1 - q0;
  let p = 0;
  for (; p + 3 < count; p += 4) {
    let a0 = f32x4.splat(0), b0 = a0, c0 = a0, d0 = a0, a1 = a0, b1 = a0, c1 = a0, d1 = a0;
    let at = keys;
    for (let x = q0, end = q0 + rowBytes; x < end; x += 16, at += 16) {
      const x0 = v128.load(x);
      const x1 = v128.load(x + between);
      const a = v128.load(at);
      a0 = f32x4.add(a0, f32x4.mul(x0, a));
      a1 = f32x4.add(a1, f32x4.mul(x1, a));
      const b = v128.load(at + rowBytes);
      b0 = f32x4.add(b0, f32x4.mul(x0, b));
      b1 = f32x4.add(b1, f32x4.mul(x1, b));
      const c = v128.load(at + 2 * rowBytes);
      c0 = f32x4.add(c0, f32x4.mul(x0, c));
      c1 = f32x4.add(c1, f32x4.mul(x1, c));
      const d = v128.load(at + 3 * rowBytes);
      d0 = f32x4.add(d0, f32x4.mul(x0, d));
      d1 = f32x4.add(d1, f32x4.mul(x1, d));
    }
    v128.store(scores0 + (<usize>p << 2), f32x4.mul(sumEach(a0, b0, c0, d0), scales));
    v128.store(scores1 + (<usize>p << 2), f32x4.mul(sumEach(a1, b1, c1, d1), scales));
    keys += 4 * rowBytes;
  }
  for (; p < count; p++) {
    let a0 = f32x4.splat(0), a1 = a0;
    for (let x = q0, end = q0 + rowBytes; x < end; x += 16, keys += 16) {
      a0 = f32x4.add(a0, f32x4.mul(v128.load(x), v128.load(keys)));
      a1 = f32x4.add(a1, f32x4.mul(v128.load(x + between), v128.load(keys)));
    }
    store<f32>(scores0 + (<usize>p << 2), sum4(a0) * scale);
    store<f32>(scores1 + (<usize>p << 2), sum4(a1) * scale);
  }
}

/** The lanes of each of four vectors added up, in the order of `sum4`. */
// @ts-ignore: decorator
@inline function sumEach(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = f32x4.add(i32x4.shuffle(a, b, 0, 1, 4, 5), i32x4.shuffle(a, b, 2, 3, 6, 7)); // a0+a2 a1+a3 b0+b2 b1+b3
  const cd = f32x4.add(i32x4.shuffle(c, d, 0, 1, 4, 5), i32x4.shuffle(c, d, 2, 3, 6, 7));
  return f32x4.add(i32x4.shuffle(ab, cd, 0, 2, 4, 6), i32x4.shuffle(ab, cd, 1, 3, 5, 7));
}

/** scores ← exp(scores − the largest); returns their sum. What pads the last vector counts as −∞. */
function softmax(scores: usize, count: i32): f32 {
  for (let p = count; p & 3; p++) store<f32>(scores + (<usize>p << 2), -Infinity);
  const end = scores + (<usize>count << 2);
  let most = v128.load(scores);
  for (let at = scores + 16; at < end; at += 16) most = f32x4.max(most, v128.load(at));
  const largest = max(
    max(f32x4.extract_lane(most, 0), f32x4.extract_lane(most, 1)),
    max(f32x4.extract_lane(most, 2), f32x4.extract_lane(most, 3)),
  );
  let total = f32x4.splat(0);
  const shift = f32x4.splat(largest);
  for (let at = scores; at < end; at += 16) {
    const difference = f32x4.sub(v128.load(at), shift);
    // exp4 ends at e⁻⁸⁷; what is smaller still is nothing, and padding is nothing at all.
    const weight = v128.and(exp4(difference), f32x4.gt(difference, f32x4.splat(-87)));
    v128.store(at, weight);
    total = f32x4.add(total, weight);
  }
  return sum4(total);
}

/** out = factor · Σ_p weights[p] · v[p] for two heads, p ascending. Sixteen dimensions at a time stay in registers, the rest by fours. */
function mixBoth(
  weights0: usize, weights1: usize, values: usize, out0: usize, out1: usize, count: i32, rowBytes: usize, factor0: f32, factor1: f32,
): void {
  const factors0 = f32x4.splat(factor0);
  const factors1 = f32x4.splat(factor1);
  const weightsEnd = weights0 + (<usize>count << 2);
  const between = weights1 - weights0;
  let d: usize = 0;
  for (; d + 64 <= rowBytes; d += 64) {
    let a0 = f32x4.splat(0), b0 = a0, c0 = a0, d0 = a0, a1 = a0, b1 = a0, c1 = a0, d1 = a0;
    let at = values + d;
    for (let p = weights0; p < weightsEnd; p += 4) {
      const weight0 = v128.load32_splat(p);
      const weight1 = v128.load32_splat(p + between);
      const a = v128.load(at);
      a0 = f32x4.add(a0, f32x4.mul(weight0, a));
      a1 = f32x4.add(a1, f32x4.mul(weight1, a));
      const b = v128.load(at, 16);
      b0 = f32x4.add(b0, f32x4.mul(weight0, b));
      b1 = f32x4.add(b1, f32x4.mul(weight1, b));
      const c = v128.load(at, 32);
      c0 = f32x4.add(c0, f32x4.mul(weight0, c));
      c1 = f32x4.add(c1, f32x4.mul(weight1, c));
      const e = v128.load(at, 48);
      d0 = f32x4.add(d0, f32x4.mul(weight0, e));
      d1 = f32x4.add(d1, f32x4.mul(weight1, e));
      at += rowBytes;
    }
    v128.store(out0 + d, f32x4.mul(a0, factors0));
    v128.store(out0 + d, f32x4.mul(b0, factors0), 16);
    v128.store(out0 + d, f32x4.mul(c0, factors0), 32);
    v128.store(out0 + d, f32x4.mul(d0, factors0), 48);
    v128.store(out1 + d, f32x4.mul(a1, factors1));
    v128.store(out1 + d, f32x4.mul(b1, factors1), 16);
    v128.store(out1 + d, f32x4.mul(c1, factors1), 32);
    v128.store(out1 + d, f32x4.mul(d1, factors1), 48);
  }
  for (; d < rowBytes; d += 16) {
    let a0 = f32x4.splat(0), a1 = a0;
    let at = values + d;
    for (let p = weights0; p < weightsEnd; p += 4, at += rowBytes) {
      a0 = f32x4.add(a0, f32x4.mul(v128.load32_splat(p), v128.load(at)));
      a1 = f32x4.add(a1, f32x4.mul(v128.load32_splat(p + between), v128.load(at)));
    }
    v128.store(out0 + d, f32x4.mul(a0, factors0));
    v128.store(out1 + d, f32x4.mul(a1, factors1));
  }
}
