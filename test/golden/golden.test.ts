/** DeepMind's numbers, for every position, however the tokens are fed; and the same bits whichever way. */

import { beforeAll, describe, expect, test } from "vitest";
import type { Model } from "../../shared/engine.ts";
import { backends } from "../backends.ts";
import { GOLDEN_CASES, loadGoldenCase } from "../oracle/golden-case.ts";
import { type GoldenRun, loadGoldenModel, partitions, runGolden, worstLogit, worstState } from "./golden-run.ts";

// Two right f32 implementations differ by up to 6e-6 in logits and 3e-6 in states (test/golden/README.md, Precision).
const LOGIT_TOLERANCE = 5e-5;
const STATE_TOLERANCE = 2e-5;

describe.each(backends)("$name", ({ create }) => {
  describe.each(GOLDEN_CASES)("%s", (name) => {
    const golden = loadGoldenCase(name);
    const ways = partitions(golden);
    let model: Model;
    let steps: GoldenRun;

    beforeAll(async () => {
      model = await loadGoldenModel(golden, create);
      steps = await runGolden(model, golden, ways.get("token by token")!);
      expect(steps.states.size).toBe(golden.decode.length + 1);
    });

    async function expectGolden(model: Model, chunks: number[]): Promise<void> {
      const run = await runGolden(model, golden, chunks);
      expect(worstLogit(run, golden)).toBeLessThanOrEqual(LOGIT_TOLERANCE);
      expect(run.states.size).toBeGreaterThan(0);
      expect(worstState(run, model.stateLayout, golden)).toBeLessThanOrEqual(STATE_TOLERANCE);
      expect(run.logits, "token by token").toStrictEqual(steps.logits);
      for (const [position, state] of run.states)
        expect(state, `token by token, ${position}`).toStrictEqual(steps.states.get(position));
    }

    test.each([...ways])("%s", (_way, chunks) => expectGolden(model, chunks));

    test("from bfloat16 weights", async () => {
      const fromBf16 = await loadGoldenModel(golden, create, "model-bf16.safetensors");
      await expectGolden(fromBf16, ways.get("prompt, then decode")!);
    });
  });
});
