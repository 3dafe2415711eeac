import type { Activation } from "../../model/config.ts";
import type { Tensor } from "../backend.ts";
import { createTensor, dataOf } from "./tensor.ts";

/** y = activation(gate) ⊙ x.  Source: MLPBlock and RecurrentBlock in recurrentgemma/torch/modules.py */
export function gatedProduct(activation: Activation, gate: Tensor, x: Tensor): Tensor {
  const gates = dataOf(gate);
  const xs = dataOf(x);
  const apply = activation === "gelu-tanh" ? geluTanh : silu;
  const y = createTensor(x.rows, x.columns);
  for (let at = 0; at < xs.length; at++) y.data[at] = apply(gates[at]) * xs[at];
  return y;
}

/** The tanh form of GELU: ½ x (1 + tanh(√(2/π) (x + 0.044715 x³))). */
const geluTanh = (x: number): number => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

const silu = (x: number): number => x / (1 + Math.exp(-x));
