/** What happens to a tensor once, at load, so that no kernel has to do it for every token. */

import { elements, type WeightRole, type WeightSpec } from "../model/weight-table.ts";

export interface Prepared {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** The shape that a tensor of the checkpoint has once it is prepared. */
export function preparedShape(role: WeightRole, shape: readonly number[]): readonly number[] {
  if (role === "conv") return [shape[2], shape[0]];
  return role === "bias" ? [elements(shape)] : shape;
}

/** From a checkpoint's layout to the one that `Backend.weight` takes. `values` may be changed in place. */
export function prepare({ role, shape: stored }: WeightSpec, values: Float32Array): Prepared {
  const shape = preparedShape(role, stored);
  switch (role) {
    case "conv":
      return { shape, values: transposeConv(stored, values) };
    case "decay":
      return { shape, values: values.map(decay) };
    case "bias":
    case "embedding":
    case "matrix":
    case "gate":
    case "norm":
      return { shape, values };
    default:
      return role satisfies never;
  }
}

/** [E, 1, taps] → [taps, E], so that neighbouring channels are neighbours in memory. */
function transposeConv([E, , W]: readonly number[], values: Float32Array): Float32Array {
  const transposed = new Float32Array(values.length);
  for (let e = 0; e < E; e++) for (let tap = 0; tap < W; tap++) transposed[tap * E + e] = values[e * W + tap];
  return transposed;
}

const DECAY_SCALE = 8; // c in the Griffin paper, equation 4

// Far beyond any decay that leaves a trace, and far from overflow, which would turn a closed gate's 0 · ∞ into NaN.
const MOST_DECAY = 1e30;

/** −c · softplus(Λ), with softplus(x) = max(x, 0) + log1p(exp(−|x|)): log(exp(x) + 1) overflows from x = 710 on. */
function decay(lambda: number): number {
  const softplus = Math.max(lambda, 0) + Math.log1p(Math.exp(-Math.abs(lambda)));
  return Math.max(-MOST_DECAY, -DECAY_SCALE * softplus);
}
