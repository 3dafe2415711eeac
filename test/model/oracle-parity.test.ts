/** What no golden covers is judged by an independent f64 forward pass that shares no code with the engine. */

import { describe, expect, test } from "vitest";
import { absorb, allLogits, createState, step } from "../../shared/engine.ts";
import { backends } from "../backends.ts";
import { worst } from "../golden/golden-run.ts";
import { type ForwardOptions, forwardF64 } from "../oracle/griffin-f64.ts";
import type { HfConfig } from "../oracle/hf-config.ts";
import { type RandomModelOptions, randomModel, randomTokens, smallHfConfig } from "./random-model.ts";

interface ParityCase {
  readonly name: string;
  readonly hf?: Partial<HfConfig>;
  readonly override?: RandomModelOptions["override"];
  readonly oracle?: ForwardOptions;
}

const W = smallHfConfig.attention_window_size;

// RecurrentGemma-2B's width with everything else small: the one width here where bf16(√width) differs from √width.
const wide: Partial<HfConfig> = {
  hidden_size: 2560,
  intermediate_size: 32,
  lru_width: 40,
  num_hidden_layers: 3,
  vocab_size: 20,
};

const parityCases: ParityCase[] = [
  { name: "recurrence wider than the model", hf: { lru_width: 48 } },
  { name: "recurrence narrower than the model", hf: { lru_width: 16 } },
  { name: "recurrence width left to the default", hf: { lru_width: null } },
  { name: "2 kv heads", hf: { num_key_value_heads: 2 } },
  { name: "4 kv heads", hf: { num_key_value_heads: 4 } },
  { name: "kv heads left to the default: one per query head", hf: { num_key_value_heads: null } },
  { name: "1 head", hf: { num_attention_heads: 1 } },
  { name: "heads that together are wider than the model", hf: { head_dim: 12 } },
  { name: "silu", hf: { hidden_activation: "silu" } },
  { name: "window of Hugging Face", override: { windowKeys: W }, oracle: { windowKeys: W } },
  { name: "own number of gate blocks", override: { gateBlocks: 12 }, oracle: { gateBlocks: 12 } },
  { name: "untied output matrix", hf: { tie_word_embeddings: false } },
  { name: "no soft cap, no embedding scale", hf: { logits_soft_cap: 0, embeddings_scale_by_sqrt_dim: false } },
  { name: "two taps", hf: { conv1d_width: 2 } },
  { name: "a quarter of the head rotates, other base", hf: { partial_rotary_factor: 0.25, rope_theta: 500 } },
  { name: "attention alone", hf: { block_types: ["attention"] } },
  { name: "width 2560, rounded embedding scale", hf: wide },
  {
    name: "width 2560, exact embedding scale",
    hf: wide,
    override: { embeddingScale: "sqrt-width" },
    oracle: { embeddingScale: "exact" },
  },
];

describe.each(backends)("$name", ({ create }) => {
  test.each(parityCases)("$name", async ({ hf = {}, override = {}, oracle = {} }) => {
    const config = { ...smallHfConfig, ...hf };
    const { model, checkpoint } = await randomModel(config, create, { override });
    const tokens = randomTokens(3 * W + 3, config.vocab_size);
    const expected = forwardF64(config, checkpoint.tensors, tokens, oracle).logits;
    const V = config.vocab_size;

    const oneShot = await allLogits(model, createState(model), tokens);
    const errors = tokens.map((_, t) => worst(oneShot.subarray(t * V, (t + 1) * V), expected[t]));
    expect(Math.max(...errors)).toBeLessThanOrEqual(5e-5);

    // In two chunks that meet in mid-window, then token by token: the same bits.
    const state = createState(model);
    absorb(model, state, tokens.slice(0, 3));
    absorb(model, state, tokens.slice(3, W + 1));
    for (let t = W + 1; t < tokens.length; t++)
      expect(await step(model, state, tokens[t])).toStrictEqual(oneShot.slice(t * V, (t + 1) * V));
  });
});
