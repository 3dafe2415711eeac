/** Calls that keep nothing: the same engine and the same events as a conversation's, without a database. */

import type { State } from "../backend/backend.ts";
import { absorb, createState, lastLogits, restoreState, type SavedState, saveState } from "../engine.ts";
import { AerieError, OptionError } from "../errors.ts";
import { generate } from "../generate.ts";
import { OutputText } from "../output-text.ts";
import type { Admission, LoadedModel, ModelSource } from "./model-source.ts";
import { encodeConversation, systemOf, systemText } from "./prompt.ts";
import { RefusedError, refusalOf } from "./refusal.ts";
import { PREFILL_SPEED } from "./runner.ts";
import { toLogprobRecord, toSamplingOptions } from "./sampling-record.ts";
import type {
  StatelessPrompt,
  RefusedError as StatelessRefusal,
  StatelessRequest,
  StatelessRunner,
} from "./stateless-types.ts";
import { discardTrapped } from "./traps.ts";
import { TextEvents } from "./turn-events.ts";
import type { LogprobRecord, Refusal, ResponseRecord, TurnEvent } from "./types.ts";

const CHUNK = 64;

/** A token of a prompt in memory: its id, and its share of the text. */
const PROMPT_TOKEN_BYTES = 12;

export interface StatelessHost {
  readonly models: ModelSource;
  /** Milliseconds since 1970. */
  now(): number;
  /** What one request may compute, in output tokens: the platform ends what takes longer, in the middle of a stream. */
  requestTokens(loaded: LoadedModel): number;
}

export function createStatelessRunner(host: StatelessHost): StatelessRunner {
  return {
    run: (request, signal) => refusing(() => run(host, request, signal)),
    tokenize: (model, text) => refusingOnce(async () => (await host.models.load(model)).tokenizer.encode(text)),
    detokenize: (model, tokens) => refusingOnce(async () => (await host.models.load(model)).tokenizer.decode(tokens)),
  };
}

async function* run(host: StatelessHost, request: StatelessRequest, signal: AbortSignal): AsyncGenerator<TurnEvent> {
  const loaded = await host.models.load(request.model);
  const prompts = request.prompts.map((prompt) => encodePrompt(loaded, prompt));
  toSamplingOptions(request.sampling, loaded.model.config.vocabSize); // refused before anything begins
  const promptTokens = prompts.reduce((sum, { length }) => sum + length, 0);
  checkCompute(request, promptTokens, host.requestTokens(loaded));
  const needs = { states: request.choices > 1 ? 2 : 1, bytes: PROMPT_TOKEN_BYTES * promptTokens };
  const admission = host.models.admit(loaded, needs);
  try {
    for (const [at, promptIds] of prompts.entries())
      yield* choiceEvents(host, loaded, admission, request, at, promptIds, signal);
  } catch (error) {
    discardTrapped(host.models, loaded, error);
    throw error;
  } finally {
    admission.release();
  }
}

/** The replies to one prompt, the `at`-th; they share the work on it. */
async function* choiceEvents(
  host: StatelessHost,
  loaded: LoadedModel,
  admission: Admission,
  request: StatelessRequest,
  at: number,
  promptIds: readonly number[],
  signal: AbortSignal,
): AsyncGenerator<TurnEvent> {
  let atPrompt: { saved: SavedState; logits: Float32Array } | null = null;
  for (let choice = 0; choice < request.choices; choice++) {
    const node = at * request.choices + choice;
    const started = recordOf(host, loaded, request, request.prompts[at], node);
    yield { type: "start", response: started };
    const state: State = atPrompt ? restoreState(loaded.model, atPrompt.saved) : createState(loaded.model);
    let logits: Float32Array;
    if (atPrompt) logits = atPrompt.logits.slice();
    else {
      logits = yield* prefillEvents(loaded, admission, state, promptIds, node, signal);
      if (request.choices > 1) atPrompt = { saved: await saveState(loaded.model, state), logits: logits.slice() };
    }
    const cachedTokens = promptIds.length - state.tokensProcessed;
    const reply = yield* replyEvents(loaded, admission, state, logits, promptIds, request, { choice, node }, signal);
    yield {
      type: "end",
      texts: reply.texts,
      response: {
        ...started,
        status: reply.isStopped ? "completed" : "incomplete",
        completedAt: Math.floor(host.now() / 1000),
        output: reply.text,
        finishReason: reply.isStopped ? "stop" : "length",
        usage: {
          inputTokens: promptIds.length,
          cachedTokens,
          outputTokens: reply.tokens,
          processedTokens: state.tokensProcessed,
        },
        logprobs: request.sampling.logprobs ? reply.logprobs : null,
      },
    };
  }
}

function checkCompute(
  { prompts, maxTokens, choices }: StatelessRequest,
  promptTokens: number,
  mostTokens: number,
): void {
  const replies = prompts.length * choices;
  const tokens = replies * maxTokens + Math.ceil(promptTokens / PREFILL_SPEED);
  if (tokens > mostTokens)
    throw new RefusedError(
      400,
      "too_much_compute",
      `${replies} replies of up to ${maxTokens} tokens to prompts of ${promptTokens} tokens, of which ${PREFILL_SPEED} take as long as one, are ${tokens} tokens: ` +
        `with this model a request that keeps nothing may compute ${mostTokens}. Ask for fewer replies (n) or fewer tokens ` +
        "(max_tokens), or let the reply be kept, in a conversation for instance: then it is computed in segments",
    );
}

function encodePrompt(loaded: LoadedModel, prompt: StatelessPrompt): number[] {
  if (prompt.kind === "text") return loaded.tokenizer.encodeStart(prompt.text);
  if (prompt.kind === "chat")
    return encodeConversation(loaded, systemText(prompt.instructions, systemOf(prompt.input)), prompt.input);
  const { vocabSize } = loaded.tokenizer;
  const wrong = prompt.tokens.find((id) => id >= vocabSize);
  if (wrong !== undefined)
    throw new OptionError("prompt", `prompt: expected token ids below ${vocabSize}, found ${wrong}`);
  return loaded.tokenizer.withBos([...prompt.tokens]);
}

async function* prefillEvents(
  { model }: LoadedModel,
  admission: Admission,
  state: State,
  promptIds: readonly number[],
  node: number,
  signal: AbortSignal,
): AsyncGenerator<TurnEvent, Float32Array> {
  if (promptIds.length === 0) throw new OptionError("prompt", "prompt: expected at least one token, found none");
  const last = Math.floor((promptIds.length - 1) / CHUNK) * CHUNK;
  for (let done = 0; done < last; done += CHUNK) {
    absorb(model, state, promptIds.slice(done, done + CHUNK));
    await admission.yieldToEvents();
    signal.throwIfAborted();
    yield { type: "prefill", node, done: done + CHUNK, total: promptIds.length };
  }
  return lastLogits(model, state, promptIds.slice(last));
}

interface Reply {
  readonly text: string;
  readonly texts: number;
  readonly tokens: number;
  readonly isStopped: boolean;
  readonly logprobs: readonly LogprobRecord[];
}

async function* replyEvents(
  loaded: LoadedModel,
  admission: Admission,
  state: State,
  logits: Float32Array,
  promptIds: readonly number[],
  request: StatelessRequest,
  { choice, node }: { readonly choice: number; readonly node: number },
  signal: AbortSignal,
): AsyncGenerator<TurnEvent, Reply> {
  const { model, tokenizer } = loaded;
  const { sampling, stop, maxTokens } = request;
  const output = new OutputText(tokenizer, { stop, eosIds: model.config.eosIds });
  const tokens = generate(model, tokenizer, state, logits, promptIds, {
    sampling: toSamplingOptions(sampling, model.config.vocabSize),
    maxTokens,
    choice,
    output,
  });
  const events = new TextEvents(loaded, node, request);
  let text = "";
  const logprobs: LogprobRecord[] = [];
  const shown = (found: ReturnType<TextEvents["push"]>) => {
    for (const event of found) {
      text += event.text;
      logprobs.push(...(event.logprobs ?? []));
    }
    return found;
  };
  let sinceYield = 0;
  for (let next = await tokens.next(); !next.done; next = await tokens.next()) {
    const record = sampling.logprobs ? [toLogprobRecord(tokenizer, next.value)] : null;
    yield* shown(events.push([next.value.token], record));
    const isFirst = output.ids.length === 1;
    sinceYield += 1;
    if (!isFirst && sinceYield < admission.tokensPerYield) continue;
    sinceYield = 0;
    await admission.yieldToEvents();
    signal.throwIfAborted();
  }
  yield* shown(events.end());
  return { text, texts: events.count, tokens: output.ids.length, isStopped: output.ended !== null, logprobs };
}

function recordOf(
  host: StatelessHost,
  { digest: modelDigest }: LoadedModel,
  request: StatelessRequest,
  prompt: StatelessPrompt,
  node: number,
): ResponseRecord {
  const { model, sampling, maxTokens, stop, metadata } = request;
  return {
    node,
    parent: null,
    branch: null,
    status: "in_progress",
    createdAt: Math.floor(host.now() / 1000),
    completedAt: null,
    model,
    modelDigest,
    instructions: prompt.kind === "chat" ? prompt.instructions : null,
    input: prompt.kind === "chat" ? prompt.input : [],
    output: "",
    finishReason: null,
    error: null,
    usage: null,
    logprobs: null,
    sampling,
    maxTokens,
    stop,
    metadata,
    stored: false,
    background: false,
  };
}

/** What is thrown before the first event as a caller's mistake carries its refusal. */
async function* refusing(events: () => AsyncGenerator<TurnEvent>): AsyncGenerator<TurnEvent> {
  try {
    yield* events();
  } catch (error) {
    throw refused(error);
  }
}

async function refusingOnce<Value>(body: () => Promise<Value>): Promise<Value> {
  try {
    return await body();
  } catch (error) {
    throw refused(error);
  }
}

class Refused extends AerieError implements StatelessRefusal {
  readonly refusal: Refusal;

  constructor(refusal: Refusal, cause: unknown) {
    super(refusal.code, refusal.message, { cause });
    this.refusal = refusal;
  }
}

function refused(error: unknown): unknown {
  const refusal = refusalOf(error);
  return refusal ? new Refused(refusal, error) : error;
}
