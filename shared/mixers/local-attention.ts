/** The attention block: multi- or grouped-query attention over a sliding window, with rotary positions on part of a head. */

import type { Weight } from "../backend/backend.ts";
import { rotaryDims } from "../model/config.ts";
import type { AttentionState } from "../model/state-layout.ts";
import type { AttentionWeights } from "../model/weight-tree.ts";
import type { Mixer } from "./mixer.ts";

/** Source: LocalAttentionBlock in recurrentgemma/torch/modules.py; section 2.4 of the Griffin paper. */
export const localAttention: Mixer<AttentionWeights<Weight>, AttentionState> = (
  backend,
  config,
  w,
  x,
  state,
  regions,
) => {
  const rotation = { theta: config.ropeTheta, dims: rotaryDims(config) };
  const q = backend.matmul(x, w.query, null);
  const k = backend.matmul(x, w.key, null);
  const v = backend.matmul(x, w.value, null);
  backend.rope(q, config.headDim, rotation, state);
  backend.rope(k, config.headDim, rotation, state);
  const { windowKeys } = config;
  const { keys, values } = regions;
  const mixed = backend.localAttention({ q, k, v, shape: config, windowKeys, state, keys, values });
  return backend.matmul(mixed, w.out.weight, w.out.bias);
};
