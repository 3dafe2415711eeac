/** What the page and its worker say to each other. One request at a time; `cancel` ends it. */

import type { SavedState } from "../../../shared/engine.ts";
import type { BackendKind } from "../backends.ts";
import type { LoadProgress, Stale } from "../progress.ts";

export interface LoadRequest {
  readonly type: "load";
  /** Of the server: `https://…` */
  readonly origin: string;
  readonly model: string;
  readonly apiKey: string;
  /** Default: the faster one of those that there are. */
  readonly backend?: BackendKind;
}

export interface LoadResult {
  /** `wasm (no WebGPU adapter)` */
  readonly backend: string;
  /** The backend's own name: `wasm (relaxed SIMD)` */
  readonly kernels: string;
  readonly model: string;
  readonly digest: string;
  readonly weightBytes: number;
  /** Why this is not a version that the server calls its newest now; null: it is. */
  readonly stale: Stale | null;
  /** Bytes that came over the network. */
  readonly fetchedBytes: number;
  readonly loadMs: number; // from the cache into the backend
}

export interface RunRequest {
  readonly type: "run";
  /** Text, which begins a conversation, or token ids as they are; at least one. */
  readonly prompt: string | readonly number[];
  /** Greedy tokens, at least 1. */
  readonly maxTokens: number;
  /** Ends at the model's end token. Default: false, so that runs compare. */
  readonly stopsAtEnd?: boolean;
  /** The state to begin from; default: a new one. */
  readonly state?: SavedState;
  /** Ids to consume instead of the likeliest ones, so that two backends see the same text. */
  readonly follow?: readonly number[];
  /** Whether the logits of every step are returned. */
  readonly keepsLogits?: boolean;
}

export interface RunResult {
  readonly promptIds: readonly number[];
  /** The likeliest id at each step. */
  readonly ids: readonly number[];
  readonly firstLogits: Float32Array; // [V], those that follow the prompt
  readonly logits: readonly Float32Array[]; // of each step, if they are kept
  readonly prefillTokensPerSecond: number;
  readonly decodeTokensPerSecond: number;
  /** All but the last id are consumed in it. */
  readonly state: SavedState;
}

export type Request = (LoadRequest | RunRequest | { readonly type: "cancel" }) & { readonly id: number };

export type Reply =
  | { readonly type: "progress"; readonly progress: LoadProgress }
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "done"; readonly id: number; readonly result: LoadResult | RunResult }
  | { readonly type: "failed"; readonly id: number; readonly code: string; readonly message: string };
