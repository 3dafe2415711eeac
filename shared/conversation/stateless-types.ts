/** A call that keeps nothing: computed where it arrives, gone when it ends. */

import type { InputItem, Refusal, SamplingRecord, TurnEvent } from "./types.ts";

/** A conversation to answer, or plain text or token ids to go on with. */
export type StatelessPrompt =
  | { readonly kind: "chat"; readonly instructions: string | null; readonly input: readonly InputItem[] }
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "tokens"; readonly tokens: readonly number[] };

export interface StatelessRequest {
  readonly model: string;
  /** At least one. */
  readonly prompts: readonly StatelessPrompt[];
  readonly sampling: SamplingRecord;
  readonly maxTokens: number;
  readonly stop: readonly string[];
  /** Replies to each prompt. */
  readonly choices: number;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Thrown by the iteration, before its first event: the same refusals as a conversation gives. */
export interface RefusedError extends Error {
  readonly refusal: Refusal;
}

export interface StatelessRunner {
  /**
   * Events as of a turn; `node` is the reply's number, prompt by prompt. The first event comes once nothing but the computation
   * can fail any more. Whoever stops iterating, or aborts, stops the computation.
   */
  run(request: StatelessRequest, signal: AbortSignal): AsyncIterable<TurnEvent>;
  /** Ids and back, for /v1/tokenize and /v1/detokenize. */
  tokenize(model: string, text: string): Promise<number[]>;
  detokenize(model: string, tokens: readonly number[]): Promise<string>;
}
