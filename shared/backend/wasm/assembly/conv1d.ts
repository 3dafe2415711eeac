/** Causal depthwise convolution.  Source: Conv1D in recurrentgemma/torch/layers.py
 *    y[t] = b + Σ_j w[j] · u[t + j − (taps − 1)]          j = 0 … taps − 1, the last tap meets the current token  */

export function conv1d(
  u: usize, //     (T E) f32
  w: usize, //     (taps E) f32
  b: usize, //     (E) f32
  y: usize, //     (T E) f32
  state: usize, // (taps − 1, E) f32  the inputs before this call, oldest first; advanced
  T: i32,
  E: i32, //       a multiple of 4
  taps: i32,
): void {
  const rowBytes = <usize>E << 2;
  for (let t = 0; t < T; t++) {
    let sum = b;
    let j = 0;
    // Taps two by two, and an odd one last: half the passes over y. Each row still adds up in the order of the taps.
    for (; j + 1 < taps; j += 2) {
      const first = inputRow(u, state, rowBytes, t + j - (taps - 1), taps);
      const second = inputRow(u, state, rowBytes, t + j + 1 - (taps - 1), taps);
      addTwoTaps(w + <usize>j * rowBytes, first, second, sum, y, rowBytes);
      sum = y;
    }
    if (j < taps) addTap(w + <usize>j * rowBytes, u + <usize>t * rowBytes, sum, y, rowBytes);
    y += rowBytes;
  }
  const kept = taps - 1;
  if (T >= kept) {
    memory.copy(state, u + <usize>(T - kept) * rowBytes, <usize>kept * rowBytes);
  } else {
    memory.copy(state, state + <usize>T * rowBytes, <usize>(kept - T) * rowBytes);
    memory.copy(state + <usize>(kept - T) * rowBytes, u, <usize>T * rowBytes);
  }
}

/** Row `t` of the inputs; those before this call lie in the state. */
// @ts-ignore: decorator
@inline function inputRow(u: usize, state: usize, rowBytes: usize, t: i32, taps: i32): usize {
  return t < 0 ? state + <usize>(t + taps - 1) * rowBytes : u + <usize>t * rowBytes;
}

/** y = sum + w ⊙ u over one row. */
function addTap(w: usize, u: usize, sum: usize, y: usize, rowBytes: usize): void {
  for (let end = y + rowBytes; y < end; y += 16, w += 16, u += 16, sum += 16)
    v128.store(y, f32x4.add(v128.load(sum), f32x4.mul(v128.load(w), v128.load(u))));
}

/** y = sum + w₀ ⊙ u₀ + w₁ ⊙ u₁ over one row; w₁ lies behind w₀. */
function addTwoTaps(w: usize, u0: usize, u1: usize, sum: usize, y: usize, rowBytes: usize): void {
  for (let end = y + rowBytes; y < end; y += 16, w += 16, u0 += 16, u1 += 16, sum += 16) {
    const first = f32x4.add(v128.load(sum), f32x4.mul(v128.load(w), v128.load(u0)));
    v128.store(y, f32x4.add(first, f32x4.mul(v128.load(w + rowBytes), v128.load(u1))));
  }
}
