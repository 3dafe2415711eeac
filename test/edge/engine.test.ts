/** The engine inside workerd, the runtime of Cloudflare Workers: the same numbers as everywhere. */

import { expect, test } from "vitest";
import { referenceBackend } from "../../shared/backend/reference/index.ts";
import { allLogits, createState, restoreState, saveState, step } from "../../shared/engine.ts";
import { randomModel, randomTokens, smallHfConfig } from "../model/random-model.ts";
import { forwardF64 } from "../oracle/griffin-f64.ts";

test("workerd it is", () => {
  expect(navigator.userAgent).toBe("Cloudflare-Workers");
});

test("logits equal the f64 oracle's, and a saved state goes on bit for bit", async () => {
  const { model, checkpoint } = await randomModel(smallHfConfig, referenceBackend);
  const tokens = randomTokens(27, smallHfConfig.vocab_size);
  const expected = forwardF64(smallHfConfig, checkpoint.tensors, tokens).logits.flatMap((row) => [...row]);
  const found = await allLogits(model, createState(model), tokens);
  const errors = expected.map((value, at) => Math.abs(value - found[at]));
  expect(Math.max(...errors)).toBeLessThanOrEqual(5e-5);

  let state = createState(model);
  for (const [t, token] of tokens.entries()) {
    const logits = await step(model, state, token);
    expect(logits).toStrictEqual(found.slice(t * smallHfConfig.vocab_size, (t + 1) * smallHfConfig.vocab_size));
    state = restoreState(model, await saveState(model, state));
  }
});
