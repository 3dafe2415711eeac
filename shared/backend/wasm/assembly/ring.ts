/**
 * The attention ring: rows of keys or values in f32, f16 or i8, position p in slot p mod W.
 *
 *    rows    [W][G][K]      scales  [W][G] f32, i8 only: max |x| / 127 over a head
 *
 * Rounding is the one that the reference backend's ring defines, bit for bit.
 */

import { f16ToF32x4, f32ToF16 } from "./half";

export const F32 = 0;
export const F16 = 1;
export const I8 = 2;

// @ts-ignore: decorator
@inline function elementShift(dtype: i32): usize {
  return dtype == F32 ? 2 : dtype == F16 ? 1 : 0;
}

/** Head g of the rows at positions [position, position + count) as dense f32 (count, K). */
export function ringLoad(
  rows: usize, scales: usize, dtype: i32, W: i32, G: i32, K: i32, g: i32, position: i32, count: i32, to: usize,
): void {
  let slot = position % W;
  for (let i = 0; i < count; i++) {
    const at = slot * G + g;
    const from = rows + (<usize>(at * K) << elementShift(dtype));
    if (dtype == F32) memory.copy(to, from, <usize>K << 2);
    else if (dtype == F16) widenRow(from, to, K);
    else scaleRow(from, load<f32>(scales + (<usize>at << 2)), to, K);
    to += <usize>K << 2;
    if (++slot == W) slot = 0;
  }
}

/** Stores row (G·K) f32 at a position. */
export function ringStore(
  rows: usize, scales: usize, dtype: i32, W: i32, G: i32, K: i32, position: i32, row: usize,
): void {
  for (let g = 0; g < G; g++) {
    const at = (position % W) * G + g;
    const to = rows + (<usize>(at * K) << elementShift(dtype));
    if (dtype == F32) memory.copy(to, row, <usize>K << 2);
    else if (dtype == F16) narrowRow(row, to, K);
    else store<f32>(scales + (<usize>at << 2), quantiseRow(row, to, K));
    row += <usize>K << 2;
  }
}

/** Head g of this call's rows (T, G·K) as they will read once stored: dense f32 (T, K). `stored` has room for one row. */
export function ringRound(dtype: i32, x: usize, T: i32, G: i32, K: i32, g: i32, stored: usize, to: usize): void {
  x += <usize>(g * K) << 2;
  for (let t = 0; t < T; t++) {
    if (dtype == F32) {
      memory.copy(to, x, <usize>K << 2);
    } else if (dtype == F16) {
      narrowRow(x, stored, K);
      widenRow(stored, to, K);
    } else {
      scaleRow(stored, quantiseRow(x, stored, K), to, K);
    }
    x += <usize>(G * K) << 2;
    to += <usize>K << 2;
  }
}

function widenRow(from: usize, to: usize, K: i32): void {
  for (let end = to + (<usize>K << 2); to < end; to += 16, from += 8) v128.store(to, f16ToF32x4(v128.load16x4_s(from)));
}

function narrowRow(from: usize, to: usize, K: i32): void {
  for (let end = from + (<usize>K << 2); from < end; from += 4, to += 2) store<u16>(to, f32ToF16(load<f32>(from)));
}

function scaleRow(from: usize, scale: f32, to: usize, K: i32): void {
  const scales = f32x4.splat(scale);
  for (let end = to + (<usize>K << 2); to < end; to += 16, from += 4)
    v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(v128.load32_zero(from)))), scales));
}

/** Returns the scale. q = x / scale in f32, to the nearest integer, ties to even. */
function quantiseRow(from: usize, to: usize, K: i32): f32 {
  let largest: f32 = 0;
  for (let at = from, end = from + (<usize>K << 2); at < end; at += 4) largest = max(largest, abs(load<f32>(at)));
  const scale = largest / 127;
  for (let end = from + (<usize>K << 2); from < end; from += 4, to++) {
    // A scale that underflows to 0 stands for zeros; a subnormal one is so coarse that a quotient may pass 127.
    const q = scale > 0 ? nearest<f32>(load<f32>(from) / scale) : 0;
    store<i8>(to, <i8>max<f32>(-127, min<f32>(127, q)));
  }
  return scale;
}
