/** What happens to a tensor once, at load, so that no kernel has to do it for every token. */

import { elements, type WeightSpec } from "../model/weight-table.ts";

export interface Prepared {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** From a checkpoint's layout to the one that `Backend.weight` takes. `values` may be changed in place. */
export function prepare({ role, shape }: WeightSpec, values: Float32Array): Prepared {
  switch (role) {
    case "conv":
      return transposeConv(shape, values);
    case "decay":
      return { shape, values: values.map(decay) };
    case "bias":
      return { shape: [elements(shape)], values };
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
function transposeConv([E, , W]: readonly number[], values: Float32Array): Prepared {
  const transposed = new Float32Array(values.length);
  for (let e = 0; e < E; e++) for (let tap = 0; tap < W; tap++) transposed[tap * E + e] = values[e * W + tap];
  return { shape: [W, E], values: transposed };
}

const DECAY_SCALE = 8; // c in the Griffin paper, equation 4

/** −c · softplus(Λ), with softplus(x) = max(x, 0) + log1p(exp(−|x|)): log(exp(x) + 1) overflows from x = 710 on. */
const decay = (lambda: number): number =>
  -DECAY_SCALE * (Math.max(lambda, 0) + Math.log1p(Math.exp(-Math.abs(lambda))));
