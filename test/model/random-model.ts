/** A model with seeded random weights, loaded the way a user's is: through a safetensors file. */

import type { CreateBackend } from "../../shared/backend/backend.ts";
import { bytesSource } from "../../shared/checkpoint/byte-source.ts";
import { type LoadOptions, loadWeights, packedWeights } from "../../shared/checkpoint/load-weights.ts";
import { openSafetensors } from "../../shared/checkpoint/safetensors.ts";
import { createModel, type Model } from "../../shared/engine.ts";
import type { ModelConfig } from "../../shared/model/config.ts";
import { parseHfConfig } from "../../shared/model/hf-config.ts";
import { type RingDType, stateLayout } from "../../shared/model/state-layout.ts";
import type { HfConfig } from "../oracle/hf-config.ts";
import { type Checkpoint, randomCheckpoint } from "../oracle/random-checkpoint.ts";
import { writeSafetensors } from "../oracle/safetensors.ts";

/** Small, with every kind of block and every width different; fields may be overridden. */
export const smallHfConfig: HfConfig = {
  model_type: "recurrent_gemma",
  vocab_size: 50,
  hidden_size: 32,
  intermediate_size: 80,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 1,
  head_dim: 8,
  lru_width: 48,
  attention_window_size: 8,
  conv1d_width: 4,
  logits_soft_cap: 30,
  rms_norm_eps: 1e-6,
  hidden_activation: "gelu_pytorch_tanh",
  partial_rotary_factor: 0.5,
  rope_theta: 10_000,
  block_types: ["recurrent", "recurrent", "attention"],
};

export interface RandomModelOptions {
  readonly seed?: number;
  readonly ring?: RingDType;
  /** How the weights are packed. */
  readonly load?: LoadOptions;
  /** What Hugging Face's config can't say. */
  readonly override?: Partial<ModelConfig>;
}

export async function randomModel(
  hf: HfConfig,
  create: CreateBackend,
  { seed = 1, ring = "f32", load = {}, override = {} }: RandomModelOptions = {},
): Promise<{ model: Model; checkpoint: Checkpoint }> {
  const config = { ...parseHfConfig(hf), ...override };
  const checkpoint = randomCheckpoint(hf, seed, override.gateBlocks ? { gateBlocks: override.gateBlocks } : {});
  const file = writeSafetensors([...checkpoint.tensors].map(([name, tensor]) => ({ name, dtype: "F32", ...tensor })));
  const tensors = await openSafetensors(bytesSource("random.safetensors", file));
  const backend = create({
    config,
    weights: packedWeights(config, load.dtypes),
    stateLayout: stateLayout(config, ring),
  });
  return {
    model: createModel(config, backend, await loadWeights(config, tensors, backend, load), { ring }),
    checkpoint,
  };
}

/** Seeded token ids. */
export function randomTokens(length: number, vocabSize: number, seed = 1): number[] {
  let x = seed;
  return Array.from({ length }, () => {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((x / 2 ** 32) * vocabSize);
  });
}
