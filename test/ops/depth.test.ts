/** Fixed state, fixed cost: a token deep in a sequence takes the same multiply-adds and reads the same bytes as an early one. */

import { describe, expect, test } from "vitest";
import { type WasmBackend, wasmBackend } from "../../shared/backend/wasm/index.ts";
import type { Counters } from "../../shared/backend/wasm/matmul.ts";
import { wasmPacker } from "../../shared/backend/wasm/packer.ts";
import { matrixDTypes } from "../../shared/checkpoint/matrix-dtypes.ts";
import { absorb, createState, type Model, prefill, saveState, step } from "../../shared/engine.ts";
import type { ModelConfig } from "../../shared/model/config.ts";
import type { RingDType } from "../../shared/model/state-layout.ts";
import { randomModel, randomTokens, smallHfConfig } from "../model/random-model.ts";
import { kernelModules } from "./conformance.ts";

const hf = {
  ...smallHfConfig,
  hidden_size: 32,
  intermediate_size: 2 * 64,
  lru_width: 64,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 16,
  attention_window_size: 64,
  num_hidden_layers: 3,
  vocab_size: 48,
};

const kinds = [
  { weights: "rg4", ring: "f16" },
  { weights: "f32", ring: "f32" },
] as const;

describe.each(kinds)("$weights weights, $ring ring", ({ weights, ring }) => {
  test("a step costs the same at depth 4,096 and 65,536, and what the formula says", async () => {
    const { model, backend } = await load(weights, ring);
    const tokens = randomTokens(65_536, hf.vocab_size);
    const state = createState(model);
    await prefill(model, state, tokens.slice(0, 4096));
    const shallow = await costOfStep(model, backend, tokens[4096]);
    absorb(model, state, tokens.slice(4096));
    expect(state.position).toBe(65_536);
    const deep = await costOfStep(model, backend, tokens[0]);

    expect(deep).toStrictEqual(shallow);
    expect(deep).toStrictEqual(formula(model.config, weights, ring));
    const { bytes } = await saveState(model, state);
    expect(bytes).toHaveLength(model.stateLayout.bytes);

    async function costOfStep(model: Model, { counters }: WasmBackend, token: number): Promise<Counters> {
      const before = { ...counters };
      const twin = createState(model);
      model.backend.writeState(twin, await model.backend.readState(state), state.position);
      const logits = await step(model, twin, token);
      expect(logits.every(Number.isFinite)).toBe(true);
      return {
        multiplyAdds: counters.multiplyAdds - before.multiplyAdds,
        weightBytes: counters.weightBytes - before.weightBytes,
        ringBytes: counters.ringBytes - before.ringBytes,
      };
    }
  });

  test("until the window is full, a step costs only the keys that are there", async () => {
    const { model, backend } = await load(weights, ring);
    const { heads, headDim, kvHeads, windowKeys } = model.config;
    const full = formula(model.config, weights, ring);
    const state = createState(model);
    const elementBytes = ring === "f16" ? 2 : 4;
    for (const token of randomTokens(70, hf.vocab_size)) {
      const missing = Math.max(0, windowKeys - (state.position + 1));
      const before = { ...backend.counters };
      await step(model, state, token);
      expect(backend.counters.multiplyAdds - before.multiplyAdds).toBe(
        full.multiplyAdds - missing * 2 * heads * headDim,
      );
      expect(backend.counters.ringBytes - before.ringBytes).toBe(
        full.ringBytes - missing * 2 * kvHeads * headDim * elementBytes,
      );
    }
  });
});

/** One decode step with a full window, written down from the shapes alone. */
function formula(config: ModelConfig, weights: "rg4" | "f32", ring: "f16" | "f32"): Counters {
  const { width: D, lruWidth: E, mlpWidth: F, vocabSize: V, gateBlocks: B, heads: H, kvHeads: G, headDim: K } = config;
  const mlp = [[F, D], [F, D], [D, F]]; // biome-ignore format: matrices
  const recurrent = [[E, D], [E, D], [D, E], ...Array(2 * B).fill([E / B, E / B])];
  const attention = [[H * K, D], [G * K, D], [G * K, D], [D, H * K]]; // biome-ignore format: matrices
  const matrices = [
    [V, D],
    ...config.mixers.flatMap((kind) => [...mlp, ...(kind === "rg-lru" ? recurrent : attention)]),
  ];
  const attentionBlocks = config.mixers.filter((kind) => kind === "local-attention").length;
  const product = matrices.reduce((sum, [rows, columns]) => sum + rows * columns, 0);
  // 4.5 bits a weight and 4 bytes a row; every side here is a multiple of a tile's 16 and of a block's 32.
  const bytes = matrices.reduce(
    (sum, [rows, columns]) => sum + (weights === "f32" ? 4 * rows * columns : (rows * columns * 4.5) / 8 + 4 * rows),
    0,
  );
  return {
    // Scores and the weighted sum of values, for every head and key.
    multiplyAdds: product + attentionBlocks * 2 * H * K * config.windowKeys,
    weightBytes: bytes,
    // Keys and values of all but the token itself.
    ringBytes: attentionBlocks * 2 * G * K * (config.windowKeys - 1) * (ring === "f16" ? 2 : 4),
  };
}

async function load(weights: "rg4" | "f32", ring: RingDType): Promise<{ model: Model; backend: WasmBackend }> {
  const made: WasmBackend[] = [];
  const { model } = await randomModel(
    hf,
    (needs) => {
      made.push(wasmBackend(kernelModules, needs));
      return made[0];
    },
    { ring, load: { dtypes: matrixDTypes(weights), packer: wasmPacker(kernelModules, 64) } },
  );
  return { model, backend: made[0] };
}
