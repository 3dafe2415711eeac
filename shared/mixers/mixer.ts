/** What a block does along time: the interface of a temporal mixer, and which mixer a block's kind names. */

import type { Backend, State, Tensor, Weight } from "../backend/backend.ts";
import type { ModelConfig } from "../model/config.ts";
import type { AttentionState, RecurrentState } from "../model/state-layout.ts";
import type { AttentionWeights, RecurrentWeights } from "../model/weight-tree.ts";
import { localAttention } from "./local-attention.ts";
import { rgLru } from "./rg-lru.ts";

/**
 * Mixes T tokens along time: x [T, D], already normalised → [T, D], to be added to the residual stream. Reads and advances
 * its own regions of the state.
 */
export type Mixer<Weights, Regions> = (
  backend: Backend,
  config: ModelConfig,
  weights: Weights,
  x: Tensor,
  state: State,
  regions: Regions,
) => Tensor;

/** Runs the mixer that the weights are for. */
export const temporalMix: Mixer<
  RecurrentWeights<Weight> | AttentionWeights<Weight>,
  RecurrentState | AttentionState
> = (backend, config, weights, x, state, regions) => {
  switch (weights.kind) {
    case "rg-lru":
      if (regions.kind !== weights.kind) throw mismatch(weights.kind, regions.kind);
      return rgLru(backend, config, weights, x, state, regions);
    case "local-attention":
      if (regions.kind !== weights.kind) throw mismatch(weights.kind, regions.kind);
      return localAttention(backend, config, weights, x, state, regions);
    default:
      return weights satisfies never;
  }
};

function mismatch(expected: string, found: string): TypeError {
  return new TypeError(`the state was laid out for another model: a block of kind ${expected} found state of ${found}`);
}
