/** One block of the model: a temporal mixer, then a gated MLP, each normalised before and added to the residual stream. */

import type { Backend, State, Tensor, Weight } from "../backend/backend.ts";
import { temporalMix } from "../mixers/mixer.ts";
import type { ModelConfig } from "../model/config.ts";
import type { BlockWeights } from "../model/weight-tree.ts";
import { gatedMlp } from "./gated-mlp.ts";

/**
 *     x += mix(rmsNorm(x))
 *     x += mlp(rmsNorm(x))
 * x [T, D], in place.  Source: ResidualBlock in recurrentgemma/torch/modules.py
 */
export function residualBlock(
  backend: Backend,
  config: ModelConfig,
  w: BlockWeights<Weight>,
  x: Tensor,
  state: State,
  block: number,
): void {
  backend.scope(() => {
    const normed = backend.rmsNorm(x, w.temporalNorm, config.normEps);
    backend.add(x, temporalMix(backend, config, w.temporal, normed, state, state.layout.blocks[block]));
  });
  backend.scope(() => {
    const normed = backend.rmsNorm(x, w.channelNorm, config.normEps);
    backend.add(x, gatedMlp(backend, config, w.mlp, normed));
  });
}
