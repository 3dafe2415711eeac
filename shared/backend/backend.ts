/**
 * The contract between the model and whatever computes it. `mixers/` and `blocks/` are written against these verbs alone;
 * `reference/` defines what each means, and the other backends answer to the same suite.
 *
 * **Ordering.** A verb enqueues its work and returns at once. Work happens in the order of the calls, so a verb sees the
 * effect of every verb before it. Only `read`, `largest` and `readState` wait, and they capture the value as of their call:
 * whatever is enqueued afterwards does not change what they return. Nothing limits how much is enqueued: whoever enqueues
 * much and reads little waits for `settled` in between.
 *
 * **Ownership.** A `Tensor` belongs to the innermost `scope` that was open when it was made, and dies with it; one made
 * outside any scope lives as long as the backend's frame, `scope` at the outermost level. What must outlive a scope is
 * written in place into a tensor from outside it (`add`). Weights and states live until they are garbage; a state may be
 * given back before (`release`).
 *
 * **In place.** `rope`, `add` and `softCap` change their first argument; `conv1d`, `rgLru` and `localAttention` read and
 * advance their part of the state. Every other verb makes a new tensor and changes nothing. A tensor is never an alias of
 * another, except the result of `lastRow`, which is a view.
 *
 * **State.** A state is a value that the caller owns: a block of bytes laid out by `StateLayout`, and the number of
 * tokens it has consumed. Verbs read `state.position` as the absolute position of their first row; none advances it: the
 * caller does, once every block has run. A new state is all zeros at position 0.
 *
 * **Splits.** Row t of every result depends only on rows 0 … t, the state and the weights, and sums run in an order that
 * depends on absolute positions alone. So feeding n rows at once or in any pieces gives the same bits.
 *
 * Shapes are row-major; T is the number of tokens (rows) of this call. The other letters are those of `docs/notation.md`.
 */

import type { Activation, ModelConfig } from "../model/config.ts";
import type { RingRegion, StateLayout, StateRegion } from "../model/state-layout.ts";
import type { WeightRole } from "../model/weight-table.ts";
import type { PackedWeight, WeightDType } from "./packed.ts";

/** Activations of one call, f32 [rows, columns]. Opaque: only the backend that made it looks inside. */
export interface Tensor {
  readonly rows: number;
  readonly columns: number;
}

/** A tensor of the checkpoint, in the backend's own layout. Opaque. */
export interface Weight {
  readonly shape: readonly number[];
}

/** Receives a weight's bytes. `shape` and role are the prepared ones (`checkpoint/prepare.ts`). */
export interface WeightWriter {
  write(bytes: Uint8Array): void;
  /** Throws unless exactly `packedBytes` were written. */
  finish(): Weight;
}

/** What a backend must know before the first weight, to lay out its memory once. */
export interface BackendNeeds {
  /** All that will be loaded, in the order of `weightLeaves`. */
  readonly weights: readonly PackedWeight[];
  readonly config: ModelConfig;
  readonly stateLayout: StateLayout;
}

export type CreateBackend = (needs: BackendNeeds) => Backend;

/** A conversation's whole memory. Opaque but for its place in the sequence. */
export interface State {
  readonly layout: StateLayout;
  /** Tokens consumed so far: the absolute position of the next one. */
  position: number;
  /** Tokens that were run through the model on this very state: what a restored state did not have to do again is not in it. */
  tokensProcessed: number;
}

/**
 * States side by side, for verbs in the place of a state: row t of their tensors is the next token of `states[t]`. So several
 * sequences share every pass over the weights, and each goes on as it would alone. It has no position of its own (NaN).
 */
export interface StateBatch extends State {
  readonly states: readonly State[];
}

/** The most that `largest` looks for. */
export const MOST_LARGEST = 64;

/** In the place of a column where a row has no largest numbers, since NaN or +Infinity is among them. No tensor has as many columns. */
export const NO_COLUMN = 2 ** 24;

/** Numbers of each row [rows · count], and the columns they stand in; or NaN and `NO_COLUMN`, all of a row. */
export interface Largest {
  readonly values: Float32Array;
  readonly columns: Uint32Array;
}

/** How the heads of an attention block lie in the columns of its queries, keys and values. */
export interface HeadShape {
  readonly heads: number; //   H, query heads
  readonly kvHeads: number; // G, divides H: query head h reads kv head ⌊h · G / H⌋
  readonly headDim: number; // K
}

/** What local attention attends with, to and in. */
export interface AttentionCall {
  readonly q: Tensor; // [T, H·K] after RoPE
  readonly k: Tensor; // [T, G·K] after RoPE
  readonly v: Tensor; // [T, G·K]
  readonly shape: HeadShape;
  readonly windowKeys: number;
  readonly state: State;
  readonly keys: RingRegion;
  readonly values: RingRegion;
}

export interface Rotation {
  readonly theta: number;
  /** Dimensions that rotate, from the first on; pair j is (j, j + dims / 2). Even. */
  readonly dims: number;
}

export interface Backend {
  /** For reports: `reference`, `wasm (relaxed SIMD)`, … */
  readonly name: string;

  /** The most rows that one call's tensors may have: what the memory for activations was laid out for. */
  readonly maxTokens: number;

  /** Room for a weight, to be filled with its packed bytes (`packed.ts`) in order, in pieces of any length. */
  weight(role: WeightRole, shape: readonly number[], dtype: WeightDType): WeightWriter;

  /** All zeros, at position 0. */
  createState(layout: StateLayout): State;
  /** A copy of the state's bytes, `layout.bytes` long. The position is the caller's to keep. */
  readState(state: State): Promise<Uint8Array>;
  /** Replaces bytes and position. `bytes` is copied; it must be `layout.bytes` long. */
  writeState(state: State, bytes: Uint8Array, position: number): void;
  /** Gives a state's memory back at once, or that of all states of a batch: it is of no use any more. Absent where the collector does. */
  release?(state: State): void;
  /**
   * Absent where it would gain nothing: a core that is busy with one sequence. A state is in the batch that it came into last. Where
   * there is no room for the states side by side it rejects, and they are as they were.
   */
  batch?(states: readonly State[]): Promise<StateBatch>;

  /** Waits until all that was enqueued so far has been computed. Absent where verbs compute at once. */
  settled?(): Promise<void>;

  /** Runs `body`; tensors made inside are released at its end. Scopes nest. */
  scope<Result>(body: () => Result): Result;
  /** Copies a tensor out: [rows · columns], into `into` if it is given, which spares an allocation for every token. */
  read(x: Tensor, into?: Float32Array): Promise<Float32Array>;
  /**
   * The `count` (1 … `MOST_LARGEST`, and no more than there are) largest numbers of each row, from the largest on, among equals the lowest column first: as `read`, where
   * the whole need not travel. Absent where it need not in any case.
   */
  largest?(x: Tensor, count: number): Promise<Largest>;
  /** A view of the last row of x [T, N] → [1, N]. */
  lastRow(x: Tensor): Tensor;

  /** scale · table[token] per token: table [V, D] → [T, D]. */
  embed(table: Weight, tokens: readonly number[], scale: number): Tensor;

  /** x · (mean(x²) + eps)^−½ · (1 + w), per row: x [T, D], w [D] → [T, D]. */
  rmsNorm(x: Tensor, w: Weight, eps: number): Tensor;

  /** x Wᵀ + b: x [T, N], w [M, N], b [M] → [T, M]. Rows of w in rg8 or rg4 round x to int8 first (`packed.ts`). */
  matmul(x: Tensor, w: Weight, b: Weight | null): Tensor;

  /** Block-diagonal x_k W_k + b_k: x [T, B·I], w [B, I in, O out], b [B, O] → [T, B·O]. */
  blockMatmul(x: Tensor, w: Weight, b: Weight): Tensor;

  /** Causal depthwise convolution: x [T, E], w [taps, E] (oldest tap first), b [E], `taps` [taps − 1, E] → [T, E]. */
  conv1d(x: Tensor, w: Weight, b: Weight, state: State, taps: StateRegion): Tensor;

  /**
   * The gated diagonal recurrence of RG-LRU. x [T, E] is the convolution's output; the gates are logits [T, E], before
   * their sigmoid; `decay` [E] is −8 · softplus(Λ); h [E] f32 → every h_t, [T, E].
   *     log a_t = decay · σ(recurrenceGate_t)
   *     h_t     = a_t · h_{t−1} + √(1 − a_t²) · σ(inputGate_t) · x_t
   * At absolute position 0, a = 0 and the factor before the input is exactly 1.
   */
  rgLru(x: Tensor, inputGate: Tensor, recurrenceGate: Tensor, decay: Weight, state: State, h: StateRegion): Tensor;

  /** Rotates each head's first `dims` dimensions by its row's absolute position, in place. x [T, n·K]. */
  rope(x: Tensor, headDim: number, rotation: Rotation, state: State): void;

  /**
   * softmax(q · k / √K) v over the `windowKeys` newest keys, the query's own included, then stores this call's keys and
   * values in the ring → [T, H·K]. Keys and values are rounded to the ring's dtype before
   * they are attended to, so that a key counts the same whether it came in this call or an earlier one.
   */
  localAttention(call: AttentionCall): Tensor;

  /** activation(gate) ⊙ x: both [T, N] → [T, N]. */
  gatedProduct(activation: Activation, gate: Tensor, x: Tensor): Tensor;

  /** x += y: both [T, N]. */
  add(x: Tensor, y: Tensor): void;

  /** x ← cap · tanh(x / cap), in place. */
  softCap(x: Tensor, cap: number): void;
}
