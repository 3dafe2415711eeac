/** A state is a value: it can be saved, restored and interleaved with others, and nothing can be told afterwards. */

import { describe, expect, test } from "vitest";
import {
  absorb,
  createState,
  lastLogits,
  type Model,
  prefill,
  restoreState,
  saveState,
  step,
} from "../../shared/engine.ts";
import { backends } from "../backends.ts";
import { randomModel, randomTokens, smallHfConfig } from "./random-model.ts";

const tokens = randomTokens(40, smallHfConfig.vocab_size);
const others = randomTokens(40, smallHfConfig.vocab_size, 2);

describe.each(backends)("$name", ({ create }) => {
  describe.each(["f32", "f16", "i8"] as const)("%s ring", (ring) => {
    const load = async () => (await randomModel(smallHfConfig, create, { ring })).model;

    test("save → restore → step is step, bit for bit, before, at and after the window fills", async () => {
      const model = await load();
      for (const position of [1, 2, 7, 8, 9, 20]) {
        const state = createState(model);
        absorb(model, state, tokens.slice(0, position));
        const saved = await saveState(model, state);
        const expected = await step(model, state, tokens[position]);

        const restored = restoreState(model, saved);
        expect(await step(model, restored, tokens[position])).toStrictEqual(expected);
        expect(await saveState(model, restored)).toStrictEqual(await saveState(model, state));
        // Restored by another instance of the engine, as after a restart.
        const elsewhere = await load();
        expect(await step(elsewhere, restoreState(elsewhere, saved), tokens[position])).toStrictEqual(expected);
      }
    });

    test("a saved state is a copy: going on changes neither it nor its twin", async () => {
      const model = await load();
      const state = createState(model);
      absorb(model, state, tokens.slice(0, 12));
      const saved = await saveState(model, state);
      const [bytes, twin] = [saved.bytes.slice(), restoreState(model, saved)];
      absorb(model, state, others.slice(0, 5));
      expect(saved.bytes).toStrictEqual(bytes);
      expect((await saveState(model, twin)).bytes).toStrictEqual(bytes);
    });

    test("interleaving two sequences is running each alone, bit for bit", async () => {
      const model = await load();
      const alone = await Promise.all([tokens, others].map((ids) => run(ids)));
      const [a, b] = [createState(model), createState(model)];
      for (let t = 0; t < tokens.length; t++) {
        expect(await step(model, a, tokens[t])).toStrictEqual(alone[0][t]);
        expect(await step(model, b, others[t])).toStrictEqual(alone[1][t]);
      }

      async function run(ids: number[]): Promise<Float32Array[]> {
        const fresh = await load();
        const state = createState(fresh);
        const logits: Float32Array[] = [];
        for (const id of ids) logits.push(await step(fresh, state, id));
        return logits;
      }
    });

    test("any split of a prompt gives the same logits and the same state", async () => {
      const model = await load();
      const whole = createState(model);
      const expected = await lastLogits(model, whole, tokens);
      for (const chunk of [1, 2, 3, 7, 8, 9, 39, 40, 64]) {
        const state = createState(model);
        expect(await prefill(model, state, tokens, { chunk })).toStrictEqual(expected);
        expect(await saveState(model, state)).toStrictEqual(await saveState(model, whole));
      }
    });

    test("a state of another size is refused with both sizes", async () => {
      const model = await load();
      const { bytes } = model.stateLayout;
      expect(() => restoreState(model, { position: 3, bytes: new Uint8Array(bytes - 1) })).toThrow(
        `state: this model's state has ${bytes} bytes, found ${bytes - 1}`,
      );
    });
  });

  test("prefill reports progress, and stops between chunks when cancelled", async () => {
    const { model } = await randomModel(smallHfConfig, create);
    const seen: number[] = [];
    await prefill(model, createState(model), tokens, { chunk: 16, onProgress: (done) => seen.push(done) });
    expect(seen).toStrictEqual([16, 32, 40]);

    const controller = new AbortController();
    const state = createState(model);
    const cancelled = prefill(model, state, tokens, {
      chunk: 16,
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
    await expect(cancelled).rejects.toThrow("aborted");
    expect(state.position).toBe(16);
  });

  // On a GPU passes were only enqueued: all of them were, progress was at its end at once, and a cancel found nothing left to stop.
  test("where passes are only enqueued, prefill is two of them ahead, and a cancel comes in between", async () => {
    const { model } = await randomModel(smallHfConfig, create);
    const controller = new AbortController();
    let [finished, ahead] = [0, 0];
    const state = createState(model);
    const slow: Model = {
      ...model,
      backend: {
        ...model.backend,
        async settled() {
          const upTo = state.position;
          ahead = Math.max(ahead, upTo - finished);
          await new Promise((resolve) => void setTimeout(resolve, 1));
          finished = upTo;
          if (finished === 16) controller.abort();
        },
      },
    };
    await expect(prefill(slow, state, tokens, { chunk: 4, signal: controller.signal })).rejects.toThrow("aborted");
    expect(ahead).toBe(8);
    expect(state.position).toBe(20);
  });

  test("token ids are checked before anything moves", async () => {
    const { model } = await randomModel(smallHfConfig, create);
    const state = createState(model);
    for (const wrong of [-1, 50, 1.5, Number.NaN])
      expect(() => absorb(model, state, [1, wrong])).toThrow(`expected ids from 0 to 49, found ${wrong}`);
    expect(() => absorb(model, state, [])).toThrow("expected at least one token id");
    expect(state.position).toBe(0);
  });
});
