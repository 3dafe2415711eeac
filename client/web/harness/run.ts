/** Prefill and greedy decode, measured: what the harness reports of a model. */

import { createState, prefill, restoreState, saveState, step } from "../../../shared/engine.ts";
import { OptionError } from "../../../shared/errors.ts";
import { TextStream } from "../../../shared/tokenizer/text-stream.ts";
import type { LocalModel } from "../local-model.ts";
import type { RunRequest, RunResult } from "./messages.ts";

// How long decoding may keep the worker from its messages: a cancel arrives within a frame.
const YIELD_MS = 16;

export interface RunHooks {
  readonly signal: AbortSignal;
  readonly onText: (text: string) => void;
}

export async function run({ model, tokenizer }: LocalModel, request: RunRequest, hooks: RunHooks): Promise<RunResult> {
  const { prompt, maxTokens, stopsAtEnd = false, follow, keepsLogits = false } = request;
  if (!Number.isInteger(maxTokens) || maxTokens < 1)
    throw new OptionError("maxTokens", `maxTokens: expected a whole number from 1, found ${maxTokens}`);
  const promptIds = typeof prompt === "string" ? tokenizer.encode(prompt) : prompt;
  const state = request.state ? restoreState(model, request.state) : createState(model);

  const prefillStart = performance.now();
  const firstLogits = await prefill(model, state, promptIds, { signal: hooks.signal, onProgress: yieldToEvents });
  const decodeStart = performance.now();

  const text = new TextStream(tokenizer);
  const ids: number[] = [];
  const logits: Float32Array[] = [];
  let lastYield = decodeStart;
  for (let next = firstLogits; ; ) {
    const id = likeliest(next);
    ids.push(id);
    if (keepsLogits) logits.push(next);
    hooks.onText(text.push(id));
    if (ids.length === maxTokens || (stopsAtEnd && model.config.eosIds.includes(id))) break;
    if (performance.now() - lastYield > YIELD_MS) {
      await yieldToEvents();
      lastYield = performance.now();
    }
    hooks.signal.throwIfAborted();
    next = await step(model, state, follow?.[ids.length - 1] ?? id);
  }
  hooks.onText(text.end());
  const end = performance.now();

  return {
    promptIds,
    ids,
    firstLogits,
    logits,
    prefillTokensPerSecond: promptIds.length / ((decodeStart - prefillStart) / 1000),
    decodeTokensPerSecond: (ids.length - 1) / ((end - decodeStart) / 1000),
    state: await saveState(model, state),
  };
}

/** The smallest of the ids with the largest logit. */
function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id] > logits[best]) best = id;
  return best;
}

/** Lets the worker's messages in. A timer of 0 would take 4 ms once it is nested. */
function yieldToEvents(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}
