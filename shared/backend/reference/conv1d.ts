import type { StateRegion } from "../../model/state-layout.ts";
import type { State, Tensor, Weight } from "../backend.ts";
import { createTensor, dataOf, f32Region } from "./tensor.ts";

/**
 * v_t[e] = b[e] + Σ_k w[taps − 1 − k, e] · u_{t−k}[e], k = 0 … taps − 1: the last tap meets the current token.
 * `taps` holds the last taps − 1 inputs, oldest first.  Source: Conv1D in recurrentgemma/torch/layers.py
 */
export function conv1d(x: Tensor, w: Weight, b: Weight, state: State, taps: StateRegion): Tensor {
  const [W, E] = w.shape;
  const xs = dataOf(x);
  const ws = dataOf(w);
  const bs = dataOf(b);
  const earlier = f32Region(state, taps);
  // The inputs of this call behind those of the calls before it: row t + W − 1 is token t.
  const inputs = new Float32Array(earlier.length + xs.length);
  inputs.set(earlier);
  inputs.set(xs, earlier.length);

  const y = createTensor(x.rows, E);
  for (let t = 0; t < x.rows; t++) {
    for (let e = 0; e < E; e++) {
      let sum = bs[e];
      for (let tap = 0; tap < W; tap++) sum += ws[tap * E + e] * inputs[(t + tap) * E + e];
      y.data[t * E + e] = sum;
    }
  }
  earlier.set(inputs.subarray(inputs.length - earlier.length));
  return y;
}
