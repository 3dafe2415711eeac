import type { StateRegion } from "../../model/state-layout.ts";
import type { State, Tensor, Weight } from "../backend.ts";
import { createTensor, dataOf, f32Region } from "./tensor.ts";

/**
 * The Real-Gated Linear Recurrent Unit's recurrence (Griffin paper, equations 1 to 4, with the sign of equation 6 and of
 * the code: a = exp(−c · r · softplus(Λ))).  Source: RGLRU and linear scan in recurrentgemma/torch/layers.py
 *     i = σ(inputGate)   log a = decay · σ(recurrenceGate)   h ← a · h + √(1 − a²) · i · x
 * √(1 − a²) goes through expm1, because 1 − exp(2 log a) has no correct digit left once |log a| < 1e-8.
 * h is f32 between tokens; the rest is f64 until it is stored.
 */
export function rgLru(
  x: Tensor, //             [T, E]
  inputGate: Tensor, //     [T, E] logits
  recurrenceGate: Tensor, // [T, E] logits
  decay: Weight, //         [E] −8 · softplus(Λ)
  state: State,
  h: StateRegion, //        [E]
): Tensor {
  const E = x.columns;
  const xs = dataOf(x);
  const i = dataOf(inputGate);
  const r = dataOf(recurrenceGate);
  const k = dataOf(decay);
  const hidden = f32Region(state, h);
  const y = createTensor(x.rows, E);
  for (let t = 0; t < x.rows; t++) {
    const isFirstToken = state.position + t === 0;
    for (let e = 0; e < E; e++) {
      const at = t * E + e;
      const logA = k[e] * sigmoid(r[at]);
      const gated = sigmoid(i[at]) * xs[at];
      hidden[e] = isFirstToken ? gated : Math.exp(logA) * hidden[e] + Math.sqrt(-Math.expm1(2 * logA)) * gated;
      y.data[at] = hidden[e];
    }
  }
  return y;
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
