/** What a bench feeds to a model: random tokens, and states that have already consumed some. */

import { createState, type Model, prefill, type SavedState, saveState } from "../../shared/engine.ts";
import { formatCount, progress } from "../progress.ts";

export function randomTokens(count: number, vocabSize: number): number[] {
  let x = 1;
  return Array.from({ length: count }, () => {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((x / 2 ** 32) * vocabSize);
  });
}

/** The state after `tokens`, made once per depth. */
export async function prefilled(model: Model, tokens: readonly number[]): Promise<SavedState> {
  const bar = progress(`prefilling ${formatCount(tokens.length)}`, formatCount);
  const state = createState(model);
  await prefill(model, state, tokens, { onProgress: bar.update });
  bar.stop();
  const saved = await saveState(model, state);
  model.backend.release?.(state);
  return saved;
}
