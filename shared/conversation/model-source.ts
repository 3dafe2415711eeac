/** Where a conversation gets its models from, and the leave to compute with one: what a host hands in. */

import type { Model } from "../engine.ts";
import { AerieError } from "../errors.ts";
import type { ChatEncoder } from "../tokenizer/chat-encoder.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** A model with its text side, ready to run. */
export interface LoadedModel {
  /** The name that requests use. */
  readonly id: string;
  /** The bundle's digest: two models with the same digest compute the same bits. */
  readonly digest: string;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  /** null where the model has no chat template. */
  readonly chat: ChatEncoder | null;
}

export interface ModelSource {
  /**
   * The model, loaded if it is not yet. Throws a `ModelError`. A caller that goes away while it waits harms no other caller.
   * `onProgress` is called with the bytes loaded so far, whoever loads them.
   */
  load(id: string, onProgress?: (doneBytes: number, totalBytes: number) => unknown): Promise<LoadedModel>;
  /**
   * A place for one computation; throws a `BusyError` where all that memory allows are taken, a `ModelError` where so much is
   * never free.
   */
  admit(loaded: LoadedModel, needs: Needs): Admission;
  /** Never hands this instance out again: after a trap, whatever a kernel left half done is thrown away with it. */
  discard(loaded: LoadedModel): void;
}

/** What a computation holds in memory, at most, while others run. */
export interface Needs {
  /** Copies of a state: its own while others have the memory's slots, those kept for later, those from and to storage. */
  readonly states: number;
  /** Ids and texts, beyond what every computation has of them. Default 0. */
  readonly bytes?: number;
}

/** Its state; where more choices follow, the one behind the prompt; the one saved, before a stop string or for storage; its parts. */
export const turnNeeds = (choices: number): Needs => ({ states: choices > 1 ? 4 : 3 });

export interface Admission {
  /** Lets the event loop run, so that streams flush and cancels arrive. */
  yieldToEvents(): Promise<void>;
  /** Tokens to decode between two yields: about 20 ms of compute, by the model's multiply-adds (clocks may stand still). */
  readonly tokensPerYield: number;
  release(): void;
}

/** A model that can't be had: no such name, too large for this host, broken files. */
export class ModelError extends AerieError {
  constructor(problem: "unknown" | "too-large" | "broken", sentence: string, options?: { cause?: unknown }) {
    super(`model.${problem}`, sentence, options);
  }
}

/** The host computes as much as it has memory for; the same request succeeds later. */
export class BusyError extends AerieError {
  readonly retryAfterSeconds: number;

  constructor(sentence: string, retryAfterSeconds: number) {
    super("busy", sentence);
    this.retryAfterSeconds = retryAfterSeconds;
  }
}
