/** Several sequences in one call: each goes on as it would alone, to the last bit, whatever the others do. */

import { describe, expect, test } from "vitest";
import {
  batchOf,
  createState,
  type Model,
  prefill,
  restoreState,
  saveState,
  step,
  stepBatch,
  stepBatchLargest,
} from "../../shared/engine.ts";
import { backends, webgpu } from "../backends.ts";
import { randomModel, randomTokens, smallHfConfig } from "../model/random-model.ts";

const V = smallHfConfig.vocab_size;

describe.skipIf(webgpu.length === 0)("a batch", () => {
  describe.each(webgpu)("on $name", ({ create }) => {
    // Fresh, short of the window, at its edge and far beyond it.
    const depths = [0, 1, 7, 8, 9, 30];
    const prompts = depths.map((depth, i) => randomTokens(depth, V, i + 1));
    const next = depths.map((_, i) => randomTokens(6, V, 100 + i));

    test.each(["f32", "f16", "i8"] as const)("of states at different depths, %s ring", async (ring) => {
      const { model } = await randomModel(smallHfConfig, create, { ring });
      const alone = await Promise.all(prompts.map((prompt) => stateAfter(model, prompt)));
      const together = await Promise.all(prompts.map((prompt) => stateAfter(model, prompt)));
      const batch = await batchOf(model, together);
      for (let t = 0; t < 6; t++) {
        const logits = await stepBatch(
          model,
          batch,
          next.map((tokens) => tokens[t]),
        );
        for (const [i, state] of alone.entries())
          expect(logits.slice(i * V, (i + 1) * V), `state ${i}, token ${t}`).toStrictEqual(
            await step(model, state, next[i][t]),
          );
      }
      for (const [i, state] of alone.entries())
        expect(await saveState(model, together[i])).toStrictEqual(await saveState(model, state));
    });

    test("its states may be used alone, restored, and batched with others", async () => {
      const { model } = await randomModel(smallHfConfig, create, { ring: "f16" });
      const [a, b, c] = await Promise.all(
        [3, 9, 12].map((depth, i) => stateAfter(model, randomTokens(depth, V, i + 1))),
      );
      const twins = await Promise.all(
        [a, b, c].map(async (state) => restoreState(model, await saveState(model, state))),
      );
      const first = await batchOf(model, [a, b]);
      await stepBatch(model, first, [1, 2]);
      await step(model, a, 3);
      const second = await batchOf(model, [b, c]);
      await stepBatch(model, second, [4, 5]);
      for (const [i, tokens] of [[1, 3], [2, 4], [5]].entries())
        for (const token of tokens) await step(model, twins[i], token);
      for (const [i, state] of [a, b, c].entries())
        expect(await saveState(model, state)).toStrictEqual(await saveState(model, twins[i]));
      expect([a, b, c].map(({ position }) => position)).toStrictEqual([5, 11, 13]);
      await expect(stepBatch(model, first, [1, 2])).rejects.toThrow("put into another one since");
    });

    test("its largest logits come alone, and are those of the whole rows", async () => {
      const { model } = await randomModel(smallHfConfig, create);
      const [whole, largest] = await Promise.all(
        [1, 2].map(() => batchOf(model, [createState(model), createState(model)])),
      );
      const logits = await stepBatch(model, whole, [1, 2]);
      const { values, columns } = await stepBatchLargest(model, largest, [1, 2], 5);
      for (const [row, from] of [0, V].entries()) {
        const order = Array.from({ length: V }, (_, id) => id).sort(
          (a, b) => logits[from + b] - logits[from + a] || a - b,
        );
        expect([...columns.slice(5 * row, 5 * row + 5)]).toStrictEqual(order.slice(0, 5));
        expect([...values.slice(5 * row, 5 * row + 5)]).toStrictEqual(order.slice(0, 5).map((id) => logits[from + id]));
      }
      await expect(stepBatchLargest(model, largest, [1, 2], V + 1)).rejects.toThrow(
        "count: expected a whole number from 1 to 50",
      );
    });

    test("what can't be one is refused with a sentence", async () => {
      const { model } = await randomModel(smallHfConfig, create);
      const states = [1, 2].map(() => createState(model));
      await expect(batchOf(model, [states[0], states[0]])).rejects.toThrow(
        "one or more states of one layout, each of them once",
      );
      await expect(
        batchOf(
          model,
          Array.from({ length: 25 }, () => createState(model)),
        ),
      ).rejects.toThrow("batch: expected at most 24 states, found 25");
      const batch = await batchOf(model, states);
      await expect(stepBatch(model, batch, [1])).rejects.toThrow("tokens: expected one for each of 2 states, found 1");
      expect(states.map(({ position }) => position)).toStrictEqual([0, 0]);
    });
  });
});

test("a backend that gains nothing says so", async () => {
  const { model } = await randomModel(smallHfConfig, backends[0].create);
  await expect(batchOf(model, [createState(model)])).rejects.toThrow(
    "batch: reference computes one sequence at a time",
  );
});

async function stateAfter(model: Model, prompt: readonly number[]) {
  const state = createState(model);
  if (prompt.length > 0) await prefill(model, state, prompt);
  return state;
}
