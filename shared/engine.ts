/** The engine: a model with its weights in a backend, and the verbs that turn tokens into logits. */

import {
  type Backend,
  type Largest,
  MOST_LARGEST,
  type State,
  type StateBatch,
  type Tensor,
  type Weight,
} from "./backend/backend.ts";
import { residualBlock } from "./blocks/residual-block.ts";
import { OptionError } from "./errors.ts";
import { embeddingScale, type ModelConfig } from "./model/config.ts";
import { type RingDType, type StateLayout, stateLayout } from "./model/state-layout.ts";
import type { ModelWeights } from "./model/weight-tree.ts";

/** A model ready to run. Immutable: everything a conversation changes is in its `State`. */
export interface Model {
  readonly config: ModelConfig;
  readonly backend: Backend;
  readonly weights: ModelWeights<Weight>;
  readonly stateLayout: StateLayout;
}

export function createModel(
  config: ModelConfig,
  backend: Backend,
  weights: ModelWeights<Weight>,
  options: { readonly ring?: RingDType } = {},
): Model {
  return { config, backend, weights, stateLayout: stateLayout(config, options.ring) };
}

/** A fresh conversation: zeros, at position 0. */
export const createState = (model: Model): State => model.backend.createState(model.stateLayout);

/**
 * Runs `tokens` [T] through every block, advancing the state in place, and hands the residual stream x [T, D] to `finish`.
 * Splitting the tokens into several calls changes nothing, not even the last bit. If it throws, the state is spoilt:
 * restore it from a saved one.
 */
function forward<Result>(
  { backend, config, weights }: Model,
  state: State,
  tokens: readonly number[],
  finish: (x: Tensor) => Result,
): Result {
  const result = backend.scope(() => {
    const x = backend.embed(weights.embedding, tokens, embeddingScale(config));
    for (const [block, w] of weights.blocks.entries()) residualBlock(backend, config, w, x, state, block);
    return finish(x);
  });
  advance(state, tokens.length);
  return result;
}

function advance(state: State, tokens: number): void {
  state.position += tokens;
  state.tokensProcessed += tokens;
}

/** Consumes tokens for their effect on the state alone: the output matrix, a sixth of all work or more, is not touched. */
export function absorb(model: Model, state: State, tokens: readonly number[]): void {
  for (const part of parts(model, tokens)) forward(model, state, part, () => undefined);
}

/** Consumes tokens and returns the logits [V] that follow the last of them, in `into` if it is given. */
export async function lastLogits(
  model: Model,
  state: State,
  tokens: readonly number[],
  into?: Float32Array,
): Promise<Float32Array> {
  const { backend } = model;
  const split = parts(model, tokens);
  const pace = pacer(model);
  for (const part of split.slice(0, -1)) {
    forward(model, state, part, () => undefined);
    await pace();
  }
  return forward(model, state, split[split.length - 1], (x) => backend.read(head(model, backend.lastRow(x)), into));
}

/** Consumes tokens and returns the logits [T · V] that follow each of them. */
export async function allLogits(model: Model, state: State, tokens: readonly number[]): Promise<Float32Array> {
  const { vocabSize } = model.config;
  const logits = new Float32Array(tokens.length * vocabSize);
  let row = 0;
  for (const part of parts(model, tokens)) {
    logits.set(await forward(model, state, part, (x) => model.backend.read(head(model, x))), row * vocabSize);
    row += part.length;
  }
  return logits;
}

/** The tokens in calls that the backend has room for; all of them are checked before the first moves the state. */
function parts({ backend, config }: Model, tokens: readonly number[]): (readonly number[])[] {
  checkTokens(tokens, config.vocabSize);
  if (tokens.length <= backend.maxTokens) return [tokens];
  const calls = Math.ceil(tokens.length / backend.maxTokens);
  return Array.from({ length: calls }, (_, i) => tokens.slice(i * backend.maxTokens, (i + 1) * backend.maxTokens));
}

/**
 * For a loop of passes that read nothing, to be awaited after each: where passes are only enqueued, it waits for the one before, so that
 * two are under way, the device is never idle, and no more than that has to be waited for when something else comes first.
 */
function pacer({ backend }: Model): () => Promise<void> | undefined {
  let last: Promise<void> | undefined;
  return () => {
    const before = last;
    last = backend.settled?.();
    last?.catch(() => undefined); // whoever waits for it or reads next is told
    return before;
  };
}

/** Consumes one token and returns the logits [V] that follow it, in `into` if it is given. */
export const step = (model: Model, state: State, token: number, into?: Float32Array): Promise<Float32Array> =>
  lastLogits(model, state, [token], into);

/** As `step`, but returns the `count` largest logits alone, and their token ids. For backends that have `largest`. */
export async function stepLargest(model: Model, state: State, token: number, count: number): Promise<Largest> {
  checkTokens([token], model.config.vocabSize);
  return forward(model, state, [token], largestOf(model, count));
}

/** Several states that `stepBatch` can take on together, where the backend gains from that. */
export async function batchOf({ backend }: Model, states: readonly State[]): Promise<StateBatch> {
  if (!backend.batch)
    throw new OptionError("batch", `batch: ${backend.name} computes one sequence at a time; call step for each`);
  if (states.length > backend.maxTokens)
    throw new OptionError("batch", `batch: expected at most ${backend.maxTokens} states, found ${states.length}`);
  return backend.batch(states);
}

/** Consumes one token of each of a batch's states and returns the logits [states · V] that follow them. */
export async function stepBatch(model: Model, batch: StateBatch, tokens: readonly number[]): Promise<Float32Array> {
  return forwardBatch(model, batch, tokens, (x) => model.backend.read(head(model, x)));
}

/** As `stepBatch`, but returns the `count` largest logits of each state alone, and their token ids. */
export async function stepBatchLargest(
  model: Model,
  batch: StateBatch,
  tokens: readonly number[],
  count: number,
): Promise<Largest> {
  return forwardBatch(model, batch, tokens, largestOf(model, count));
}

/** From the residual stream of each sequence's last token to its `count` largest logits. */
function largestOf(model: Model, count: number): (x: Tensor) => Promise<Largest> {
  const { backend, config } = model;
  const most = Math.min(MOST_LARGEST, config.vocabSize);
  if (!backend.largest) throw new OptionError("count", `count: ${backend.name} hands out whole rows of logits`);
  const { largest } = backend;
  if (!Number.isInteger(count) || count < 1 || count > most)
    throw new OptionError("count", `count: expected a whole number from 1 to ${most}, found ${count}`);
  return (x) => largest(head(model, x), count);
}

function forwardBatch<Result>(
  model: Model,
  batch: StateBatch,
  tokens: readonly number[],
  finish: (x: Tensor) => Result,
): Result {
  const { config } = model;
  checkTokens(tokens, config.vocabSize);
  if (tokens.length !== batch.states.length)
    throw new OptionError(
      "tokens",
      `tokens: expected one for each of ${batch.states.length} states, found ${tokens.length}`,
    );
  const result = forward(model, batch, tokens, finish);
  for (const state of batch.states) advance(state, 1);
  return result;
}

/** Final norm, output matrix, soft cap: x [T, D] → logits [T, V]. */
function head({ backend, config, weights }: Model, x: Tensor): Tensor {
  const normed = backend.rmsNorm(x, weights.finalNorm, config.normEps);
  const logits = backend.matmul(normed, weights.lmHead ?? weights.embedding, null);
  if (config.logitSoftCap > 0) backend.softCap(logits, config.logitSoftCap);
  return logits;
}

function checkTokens(tokens: readonly number[], vocabSize: number): void {
  if (tokens.length === 0) throw new OptionError("tokens", "tokens: expected at least one token id, found none");
  const wrong = tokens.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabSize);
  if (wrong !== undefined)
    throw new OptionError("tokens", `tokens: expected ids from 0 to ${vocabSize - 1}, found ${wrong}`);
}

export interface PrefillOptions {
  /** Tokens per pass. More is faster and takes more memory for activations; the result is the same. Default 64. */
  readonly chunk?: number;
  /**
   * Called after every pass with the tokens consumed so far, of which a GPU may still be at work on the last two passes; what it returns
   * is awaited, so that a caller can let events in.
   */
  readonly onProgress?: (done: number, total: number) => unknown;
  readonly signal?: CancelSignal;
}

/** The part of an `AbortSignal` that the engine looks at. */
export interface CancelSignal {
  throwIfAborted(): void;
}

/** Consumes a prompt in chunks and returns the logits [V] after its last token. */
export async function prefill(
  model: Model,
  state: State,
  tokens: readonly number[],
  options: PrefillOptions = {},
): Promise<Float32Array> {
  const { chunk = 64, onProgress, signal } = options;
  if (!Number.isInteger(chunk) || chunk < 1)
    throw new OptionError("chunk", `chunk: expected a whole number of tokens from 1, found ${chunk}`);
  checkTokens(tokens, model.config.vocabSize);
  const last = Math.floor((tokens.length - 1) / chunk) * chunk;
  const pace = pacer(model);
  for (let done = 0; done < last; done += chunk) {
    signal?.throwIfAborted();
    absorb(model, state, tokens.slice(done, done + chunk));
    await pace();
    await onProgress?.(done + chunk, tokens.length);
  }
  signal?.throwIfAborted();
  const logits = await lastLogits(model, state, tokens.slice(last));
  await onProgress?.(tokens.length, tokens.length);
  return logits;
}

/** A conversation's memory at one moment, apart from any backend. */
export interface SavedState {
  readonly position: number;
  readonly bytes: Uint8Array; // laid out by the model's `stateLayout`
}

export async function saveState({ backend }: Model, state: State): Promise<SavedState> {
  const { position } = state;
  return { position, bytes: await backend.readState(state) };
}

/** A new state that goes on exactly where the saved one stood. */
export function restoreState(model: Model, saved: SavedState): State {
  const { backend, stateLayout: layout } = model;
  if (saved.bytes.length !== layout.bytes)
    throw new OptionError(
      "state",
      `state: this model's state has ${layout.bytes} bytes, found ${saved.bytes.length}: it was saved by another model`,
    );
  const state = backend.createState(layout);
  backend.writeState(state, saved.bytes, saved.position);
  return state;
}
