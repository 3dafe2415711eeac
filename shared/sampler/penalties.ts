/** How what was said before, and the caller's biases, move the logits. Everything works in place, in f64. */

import { AerieError } from "../errors.ts";
import { type OutputCounts, REPETITION_WINDOW, type SampleContext } from "./context.ts";
import type { SamplingOptions } from "./options.ts";
import { checkBiasedTokens } from "./parse-options.ts";

/** Repetition penalty, then presence and frequency penalties, then biases. A logit of −Infinity stays −Infinity. */
export function adjustLogits(logits: Float64Array, options: SamplingOptions, context: SampleContext): void {
  penalizeRepetition(logits, options.repetitionPenalty, context.history);
  penalizeOutput(logits, options.presencePenalty, options.frequencyPenalty, context.outputCounts);
  addBias(logits, options.logitBias);
}

/** l ← l / p if l > 0, else l · p, once for each distinct token of the window, as Hugging Face's transformers do. */
function penalizeRepetition(logits: Float64Array, penalty: number, history: ArrayLike<number>): void {
  if (penalty === 1) return;
  const recent = new Set<number>();
  for (let i = Math.max(0, history.length - REPETITION_WINDOW); i < history.length; i++) recent.add(history[i]!);
  for (const token of recent) {
    checkToken(token, logits.length, "history");
    const logit = logits[token]!;
    logits[token] = logit > 0 ? logit / penalty : logit * penalty;
  }
}

/** l ← l − frequency · count − presence · [count > 0], as OpenAI's API defines them. */
function penalizeOutput(logits: Float64Array, presence: number, frequency: number, counts: OutputCounts): void {
  if (presence === 0 && frequency === 0) return;
  for (const [token, count] of counts) {
    checkToken(token, logits.length, "outputCounts");
    if (count > 0) logits[token] = logits[token]! - frequency * count - presence;
  }
}

function addBias(logits: Float64Array, logitBias: ReadonlyMap<number, number>): void {
  checkBiasedTokens(logitBias, logits.length);
  for (const [token, bias] of logitBias) logits[token] = logits[token]! + bias;
}

function checkToken(token: number, vocabSize: number, where: string): void {
  if (Number.isInteger(token) && token >= 0 && token < vocabSize) return;
  throw new AerieError("sampler.token", `${where} has token ${token}, the logits are for tokens 0 to ${vocabSize - 1}`);
}
