/** The recurrent block of Griffin and Hawk: a short convolution and an RG-LRU, gated by a parallel branch. */

import type { Weight } from "../backend/backend.ts";
import type { RecurrentState } from "../model/state-layout.ts";
import type { RecurrentWeights } from "../model/weight-tree.ts";
import type { Mixer } from "./mixer.ts";

/**
 *     y = linear_y x                 u = linear_x x
 *                                    v = conv1d(u)
 *                                    h = rg_lru(v), its gates seeing v alone
 *     out = linear_out(activation(y) ⊙ h)
 * Source: figure 2c of the Griffin paper; RecurrentBlock in recurrentgemma/torch/modules.py
 */
export const rgLru: Mixer<RecurrentWeights<Weight>, RecurrentState> = (backend, config, w, x, state, regions) => {
  const y = backend.matmul(x, w.linearY.weight, w.linearY.bias);
  const u = backend.matmul(x, w.linearX.weight, w.linearX.bias);
  const v = backend.conv1d(u, w.conv.weight, w.conv.bias, state, regions.conv);
  const inputGate = backend.blockMatmul(v, w.inputGate.weight, w.inputGate.bias);
  const recurrenceGate = backend.blockMatmul(v, w.recurrenceGate.weight, w.recurrenceGate.bias);
  const h = backend.rgLru(v, inputGate, recurrenceGate, w.decay, state, regions.h);
  return backend.matmul(backend.gatedProduct(config.activation, y, h), w.linearOut.weight, w.linearOut.bias);
};
