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
    for (let e: usize = 0; e < rowBytes; e += 16) {
      let sum = v128.load(b + e);
      for (let j = 0; j < taps; j++) {
        const row = t + j - (taps - 1);
        const input = row < 0 ? state + <usize>(row + taps - 1) * rowBytes : u + <usize>row * rowBytes;
        sum = f32x4.add(sum, f32x4.mul(v128.load(w + <usize>j * rowBytes + e), v128.load(input + e)));
      }
      v128.store(y + e, sum);
    }
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
