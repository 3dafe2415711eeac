/** DeepMind's numbers, for every position, however the tokens are fed; and the same bits whichever way. */

import { describe, expect, test } from "vitest";
import { backends } from "../backends.ts";
import { GOLDEN_CASES, loadGoldenCase } from "../oracle/golden-case.ts";
import { loadGoldenModel, partitions, runGolden, worstLogit, worstState } from "./golden-run.ts";

// Two right f32 implementations differ by up to 6e-6 in logits and 3e-6 in states (test/golden/README.md, Precision).
const LOGIT_TOLERANCE = 5e-5;
const STATE_TOLERANCE = 2e-5;

describe.each(backends)("$name", ({ create }) => {
  describe.each(GOLDEN_CASES)("%s", (name) => {
    const golden = loadGoldenCase(name);

    test.each([...partitions(golden)])("%s", async (_way, chunks) => {
      const model = await loadGoldenModel(golden, create);
      const run = await runGolden(model, golden, chunks);
      expect(worstLogit(run, golden)).toBeLessThanOrEqual(LOGIT_TOLERANCE);
      expect(run.states.size).toBeGreaterThan(0);
      expect(worstState(run, model.stateLayout, golden)).toBeLessThanOrEqual(STATE_TOLERANCE);
    });

    test("from bfloat16 weights", async () => {
      const model = await loadGoldenModel(golden, create, "model-bf16.safetensors");
      const run = await runGolden(model, golden, [golden.prompt.length, ...golden.decode.map(() => 1)]);
      expect(worstLogit(run, golden)).toBeLessThanOrEqual(LOGIT_TOLERANCE);
      expect(worstState(run, model.stateLayout, golden)).toBeLessThanOrEqual(STATE_TOLERANCE);
    });

    test("all of them agree bit for bit", async () => {
      const ways = partitions(golden);
      const f32 = await loadGoldenModel(golden, create);
      const bf16 = await loadGoldenModel(golden, create, "model-bf16.safetensors");
      const steps = await runGolden(f32, golden, ways.get("token by token")!);
      expect(steps.states.size).toBe(golden.decode.length + 1);
      for (const [way, chunks] of [...ways, ["from bfloat16 weights", ways.get("one shot")!] as const]) {
        const run = await runGolden(way === "from bfloat16 weights" ? bf16 : f32, golden, chunks);
        expect(run.logits, way).toStrictEqual(steps.logits);
        for (const [position, state] of run.states)
          expect(state, `${way}, ${position}`).toStrictEqual(steps.states.get(position));
      }
    });
  });
});
