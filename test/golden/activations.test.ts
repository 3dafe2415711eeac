/** Each op against DeepMind's activations: every block is fed the reference's own input, so that errors can't hide or add up. */

import { describe, expect, test } from "vitest";
import type { Backend, BackendNeeds, Tensor } from "../../shared/backend/backend.ts";
import { residualBlock } from "../../shared/blocks/residual-block.ts";
import { noPacker, packWeight } from "../../shared/checkpoint/pack.ts";
import { createState } from "../../shared/engine.ts";
import { embeddingScale } from "../../shared/model/config.ts";
import { backends } from "../backends.ts";
import { GOLDEN_CASES, type GoldenCase, loadGoldenCase } from "../oracle/golden-case.ts";
import { loadGoldenModel, worst } from "./golden-run.ts";

const TOLERANCE = 2e-5; // f32 against f32; the reference's own error is up to 3e-6

describe.each(backends)("$name", ({ create }) => {
  describe.each(GOLDEN_CASES)("%s", (name) => {
    const golden = loadGoldenCase(name);
    const T = golden.prompt.length;
    // Activations come in as weights here: one more, as large as the prompt's.
    const createRoomy = (needs: BackendNeeds) =>
      create(
        {
          ...needs,
          weights: [...needs.weights, { role: "embedding", shape: [T, golden.config.hidden_size], dtype: "f32" }],
        },
        T,
      );

    test("embed", async () => {
      const { backend, weights, config } = await loadGoldenModel(golden, createRoomy);
      const x = backend.embed(weights.embedding, golden.prompt, embeddingScale(config));
      await expectActivation(backend, x, "embed");
    });

    test.each(blocksOf(golden))("block %i", async (block) => {
      const model = await loadGoldenModel(golden, createRoomy);
      const taps = new Map<string, Promise<Float32Array>>();
      const backend = recording(model.backend, taps);
      const x = await tensorOf(backend, golden, block === 0 ? "embed" : `blocks.${block - 1}.out`);
      residualBlock(backend, model.config, model.weights.blocks[block], x, createState(model), block);

      await expectActivation(backend, x, `blocks.${block}.out`);
      for (const [op, found] of taps) expectClose(await found, `blocks.${block}.${op}`);
      expect([...taps.keys()]).toStrictEqual(
        model.config.mixers[block] === "rg-lru" ? ["conv_1d", "rg_lru", "temporal"] : ["temporal"],
      );
    });

    test("final norm", async () => {
      const { backend, weights, config } = await loadGoldenModel(golden, createRoomy);
      const x = await tensorOf(backend, golden, `blocks.${config.mixers.length - 1}.out`);
      await expectActivation(backend, backend.rmsNorm(x, weights.finalNorm, config.normEps), "final_norm");
    });

    async function expectActivation(backend: Backend, x: Tensor, activation: string): Promise<void> {
      expect(x.rows).toBe(T);
      expectClose(await backend.read(x), activation);
    }

    function expectClose(found: Float32Array, activation: string): void {
      expect(worst(found, golden.acts.get(activation)!.data), activation).toBeLessThanOrEqual(TOLERANCE);
    }
  });
});

const blocksOf = ({ config }: GoldenCase): number[] => Array.from({ length: config.num_hidden_layers }, (_, i) => i);

/** A golden activation as a tensor of the backend, by way of an embedding of it. */
async function tensorOf(backend: Backend, { acts }: GoldenCase, activation: string): Promise<Tensor> {
  const { shape, data } = acts.get(activation)!;
  const writer = backend.weight("embedding", shape, "f32");
  await packWeight("embedding", shape, "f32", Float32Array.from(data), noPacker, (bytes) => writer.write(bytes));
  const table = writer.finish();
  return backend.embed(
    table,
    Array.from({ length: shape[0] }, (_, t) => t),
    1,
  );
}

/** The backend, keeping what the ops return that the reference recorded. */
function recording(backend: Backend, taps: Map<string, Promise<Float32Array>>): Backend {
  return {
    ...backend,
    conv1d: (...args) => keep("conv_1d", backend.conv1d(...args)),
    rgLru: (...args) => keep("rg_lru", backend.rgLru(...args)),
    add(x, y) {
      if (!taps.has("temporal")) keep("temporal", y); // the first of a block's two additions
      backend.add(x, y);
    },
  };

  function keep(op: string, x: Tensor): Tensor {
    taps.set(op, backend.read(x));
    return x;
  }
}
