/**
 * One response from its first row to its commit: prefill what is new, decode, log ids before anyone sees them, commit.
 * It may begin anywhere: what the log and the checkpoints hold is taken up, so a new instance goes on where another died.
 */

import type { State } from "../backend/backend.ts";
import { absorb, createState, prefill, restoreState, type SavedState, saveState } from "../engine.ts";
import { AerieError } from "../errors.ts";
import { generate } from "../generate.ts";
import { OutputText } from "../output-text.ts";
import { REPETITION_WINDOW } from "../sampler/context.ts";
import { type Basis, type Digest, NO_BASIS, prepareCheckpoint, writeCheckpoint } from "./checkpoints.ts";
import { changeMeta } from "./meta.ts";
import type { Admission, LoadedModel } from "./model-source.ts";
import { findNode, type Node, type NodeLog, packUsage, type StoredRequest } from "./nodes.ts";
import { idsBefore, logBetween, nearestState } from "./replay.ts";
import { toLogprobRecord, toSamplingOptions } from "./sampling-record.ts";
import type { Sql } from "./sql.ts";
import type { UsageTotals } from "./tenant-types.ts";
import { appendIds, readIds, toBytes } from "./token-log.ts";
import type { LogprobRecord, ResponseStatus, Usage } from "./types.ts";

/** A row written costs as much as hundreds of tokens of compute, so ids go to the log in groups. */
const FLUSH_TOKENS = 64;
const FLUSH_MILLISECONDS = 250;

/** Ids of the log that are in memory at a time: a replay may be of millions. */
const READ_TOKENS = 2 ** 16;

/** Prefill takes about this many tokens in the time that decoding takes for one. */
export const PREFILL_SPEED = 4;

/** What a run needs from its conversation's object. */
export interface RunHost {
  readonly sql: Sql;
  readonly digest: Digest;
  /** Milliseconds since 1970. */
  now(): number;
  /** Tokens that one event of the host may process; then the run checkpoints and waits for `nextSegment`. */
  segmentTokens(loaded: LoadedModel): number;
  nextSegment(): Promise<void>;
  /** The node's log or status has changed: whoever reads it may go on. */
  changed(node: number): void;
  prefilled(node: number, done: number, total: number): void;
}

/** Another instance took the turn over: nothing that this one does counts any more. */
export class LeaseLost extends AerieError {
  constructor(node: number) {
    super("conversation.lease", `response ${node} was taken over by another instance`);
  }
}

/** The state behind a prompt, for further choices of the same turn. */
interface AtPrompt {
  readonly saved: SavedState;
  readonly logits: Float32Array;
  readonly basis: Basis;
}

/** The state as it was before an output id, the `ids`-th, that may be part of a stop string. */
interface HeldState {
  readonly ids: number;
  readonly saved: SavedState;
}

/** Cancelled: what was generated so far stays. */
class Cancelled extends Error {}

/**
 * The choices of a turn, each with the fencing token that its instance was given: read when a choice begins, it might be that of a
 * successor.
 */
export type Epochs = ReadonlyMap<number, number>;

/** Runs the choices of a turn one after the other; they share the work on the prompt. */
export async function runChoices(
  host: RunHost,
  loaded: LoadedModel,
  admission: Admission,
  epochs: Epochs,
  isCancelled: () => boolean,
): Promise<void> {
  let atPrompt: AtPrompt | null = null;
  let left = epochs.size;
  for (const [id, epoch] of epochs) {
    left--;
    const node = findNode(host.sql, id);
    if (node?.status !== "in_progress") continue;
    if (node.epoch !== epoch) throw new LeaseLost(id);
    const run = new ResponseRun(host, loaded, admission, node, isCancelled);
    atPrompt = await run.run(atPrompt, left > 0);
  }
}

class ResponseRun {
  readonly #host: RunHost;
  readonly #loaded: LoadedModel;
  readonly #admission: Admission;
  readonly #node: Node;
  readonly #log: NodeLog;
  readonly #request: StoredRequest;
  readonly #isCancelled: () => boolean;
  readonly #output: OutputText;
  readonly #promptEnd: number;

  #state: State;
  #basis: Basis = NO_BASIS;
  #processedBefore = 0; // in segments that an instance before this one computed
  #cached = 0; //          tokens before the first one processed
  #segmentStart = 0; //   tokensProcessed when this segment began
  #unlogged: number[] = [];
  #unloggedLogprobs: LogprobRecord[] = [];
  #loggedIds = 0;
  #lastFlush = 0;
  #beforeHeld: HeldState | null = null;
  #hasProgressed: boolean; // since the last take-over, as far as the database knows

  constructor(host: RunHost, loaded: LoadedModel, admission: Admission, node: Node, isCancelled: () => boolean) {
    this.#host = host;
    this.#loaded = loaded;
    this.#admission = admission;
    this.#node = node;
    this.#log = node.log as NodeLog;
    this.#request = node.request as StoredRequest;
    this.#isCancelled = isCancelled;
    this.#output = new OutputText(loaded.tokenizer, {
      stop: this.#request.stop,
      eosIds: loaded.model.config.eosIds,
    });
    this.#promptEnd = this.#log.start + this.#log.promptLength;
    this.#state = createState(loaded.model);
    this.#hasProgressed = node.attempts === 0;
  }

  async run(atPrompt: AtPrompt | null, isShared: boolean): Promise<AtPrompt | null> {
    const { model } = this.#loaded;
    let shared = atPrompt;
    try {
      const logged = readIds(this.#host.sql, this.#node.id, this.#log.promptLength);
      this.#loggedIds = logged.length;
      for (const id of logged) this.#output.push(id);
      let logits: Float32Array | null;
      if (atPrompt && logged.length === 0) {
        this.#state = restoreState(model, atPrompt.saved);
        this.#basis = atPrompt.basis;
        this.#cached = this.#state.position;
        logits = atPrompt.logits.slice();
      } else {
        await this.#restore();
        logits = await this.#catchUp(logged);
        if (isShared && logged.length === 0 && logits)
          shared = { saved: await saveState(model, this.#state), logits: logits.slice(), basis: this.#basis };
      }
      if (logits) await this.#decode(logits);
      await this.#commit(false);
    } catch (error) {
      if (!(error instanceof Cancelled)) throw error;
      await this.#commit(true);
    }
    return shared;
  }

  /** The newest state that a checkpoint holds. */
  async #restore(): Promise<void> {
    const { sql, digest } = this.#host;
    const known = await nearestState(sql, this.#node.id, this.#loaded, digest);
    if (!known) return;
    this.#state = restoreState(this.#loaded.model, known.saved);
    this.#basis = known.found;
    if (known.found.node === this.#node.id) this.#processedBefore = this.#node.processed;
    this.#cached = known.saved.position - this.#processedBefore;
  }

  /** Processes what the log has beyond the state. Returns the logits behind it, or null where the output is over already. */
  async #catchUp(logged: readonly number[]): Promise<Float32Array | null> {
    const isOver = this.#output.ended !== null || logged.length >= this.#request.maxTokens;
    const held = this.#output.settled < logged.length && this.#request.stop.length > 0;
    const logEnd = this.#promptEnd + logged.length;
    const start = this.#state.position;
    let breathed = start;
    const process = async (end: number): Promise<Float32Array | null> => {
      let logits: Float32Array | null = null;
      for (let at = this.#state.position; at < end; at = this.#state.position) {
        const tokens = logBetween(this.#host.sql, this.#node.id, at, Math.min(end, at + READ_TOKENS));
        logits = await prefill(this.#loaded.model, this.#state, tokens, {
          onProgress: async (count) => {
            this.#host.prefilled(this.#node.id, at + count - start, logEnd - start);
            if (at + count - breathed < PREFILL_SPEED * this.#admission.tokensPerYield) return;
            breathed = at + count;
            // Never between the last token and its logits: a checkpoint there would have no use for them.
            await this.#breathe(at + count < end);
          },
        });
      }
      return logits;
    };
    if (isOver || held) await process(this.#promptEnd + this.#output.settled);
    if (isOver) return null;
    if (held) this.#beforeHeld = { ids: this.#output.settled, saved: await saveState(this.#loaded.model, this.#state) };
    return process(logEnd);
  }

  async #decode(logits: Float32Array): Promise<void> {
    const { model, tokenizer } = this.#loaded;
    const { sampling, maxTokens } = this.#request;
    const recent = idsBefore(this.#host.sql, this.#node.id, this.#state.position, REPETITION_WINDOW);
    const options = toSamplingOptions(sampling, model.config.vocabSize);
    const tokens = generate(model, tokenizer, this.#state, logits, recent, {
      sampling: options,
      maxTokens,
      choice: this.#node.choice,
      output: this.#output,
    });
    this.#lastFlush = this.#host.now();
    let sinceYield = 0;
    for (let next = await tokens.next(); !next.done; next = await tokens.next()) {
      this.#unlogged.push(next.value.token);
      if (sampling.logprobs) this.#unloggedLogprobs.push(toLogprobRecord(tokenizer, next.value));
      await this.#holdState();
      const isFirst = this.#output.ids.length === 1;
      if (isFirst || this.#unlogged.length >= FLUSH_TOKENS) this.#flush();
      sinceYield += 1;
      if (!isFirst && sinceYield < this.#admission.tokensPerYield) continue;
      sinceYield = 0;
      await this.#breathe(this.#beforeHeld === null);
      // Only now: clocks may stand still while nothing but computation happens.
      if (this.#host.now() - this.#lastFlush >= FLUSH_MILLISECONDS) this.#flush();
    }
  }

  /** Called when an id was sampled and not yet consumed: the state stands right before it. */
  async #holdState(): Promise<void> {
    if (this.#request.stop.length === 0) return;
    const { settled, ids } = this.#output;
    if (settled === ids.length) this.#beforeHeld = null;
    else if (settled === ids.length - 1 && this.#output.ended === null) {
      this.#beforeHeld = null; // one copy at a time
      this.#beforeHeld = { ids: settled, saved: await saveState(this.#loaded.model, this.#state) };
    }
  }

  /** Lets events in; ends the segment where its share of compute is used up and the state may be kept. */
  async #breathe(mayEndSegment: boolean): Promise<void> {
    await this.#admission.yieldToEvents();
    if (this.#isCancelled()) throw new Cancelled();
    const { tokensProcessed } = this.#state;
    if (!mayEndSegment || tokensProcessed - this.#segmentStart < this.#host.segmentTokens(this.#loaded)) return;
    this.#flush();
    await this.#checkpointHere();
    await this.#host.nextSegment();
    if (this.#isCancelled()) throw new Cancelled();
    this.#segmentStart = tokensProcessed;
  }

  async #checkpointHere(): Promise<void> {
    const { sql, digest } = this.#host;
    const { model, digest: modelDigest } = this.#loaded;
    const prepared = await prepareCheckpoint(
      model.stateLayout,
      await saveState(model, this.#state),
      this.#basis,
      digest,
    );
    this.#basis = sql.transaction(() => {
      if (!this.#checkLease()) throw new Cancelled();
      const processed = this.#processedBefore + this.#state.tokensProcessed;
      sql.exec("UPDATE node SET attempts = 0, processed = ? WHERE id = ?", processed, this.#node.id);
      return writeCheckpoint(sql, this.#node.id, modelDigest, prepared);
    });
  }

  /** Ids go to the log before anyone sees them. */
  #flush(): void {
    if (this.#unlogged.length === 0) return;
    const { sql } = this.#host;
    const logprobs = this.#request.sampling.logprobs ? this.#unloggedLogprobs : null;
    sql.transaction(() => {
      this.#checkLease();
      appendIds(sql, this.#node.id, this.#log.promptLength + this.#loggedIds, this.#unlogged, logprobs);
      if (!this.#hasProgressed) sql.exec("UPDATE node SET attempts = 0 WHERE id = ?", this.#node.id);
    });
    this.#hasProgressed = true;
    this.#loggedIds += this.#unlogged.length;
    this.#unlogged = [];
    this.#unloggedLogprobs = [];
    this.#lastFlush = this.#host.now();
    this.#host.changed(this.#node.id);
  }

  /** false: something that this was computed from was deleted, so no state of it is kept. */
  #checkLease(): boolean {
    const [row] = this.#host.sql.exec("SELECT epoch, status, cut FROM node WHERE id = ?", this.#node.id);
    if (row?.epoch !== this.#node.epoch || row.status !== "in_progress") throw new LeaseLost(this.#node.id);
    return row.cut === 0;
  }

  async #commit(isCancelled: boolean): Promise<void> {
    const { sql, digest } = this.#host;
    const { model, digest: modelDigest } = this.#loaded;
    this.#flush();
    this.#output.end(); // a last incomplete character may complete a stop string
    const isStopped = this.#output.ended !== null;
    const status: ResponseStatus = isCancelled ? "cancelled" : isStopped ? "completed" : "incomplete";
    const finish = isCancelled ? null : isStopped ? "stop" : "length";
    const { kept, tail } = await this.#settle();
    const end = this.#promptEnd + kept + tail.length;
    // A prompt that was cancelled half-way leaves no state at the log's end: whoever goes on replays the rest.
    const prepared =
      this.#state.position === end
        ? await prepareCheckpoint(model.stateLayout, await saveState(model, this.#state), this.#basis, digest)
        : null;
    const usage: Usage = {
      inputTokens: this.#promptEnd,
      cachedTokens: this.#cached,
      outputTokens: this.#output.ids.length,
      processedTokens: this.#processedBefore + this.#state.tokensProcessed,
    };
    const now = Math.floor(this.#host.now() / 1000);
    const text = this.#text();
    sql.transaction(() => {
      const mayKeep = this.#checkLease();
      if (prepared && mayKeep) writeCheckpoint(sql, this.#node.id, modelDigest, prepared);
      sql.exec(
        `UPDATE node SET status = ?, completed_at = ?, output = ?, finish = ?, usage = ?, kept = ?, tail = ?, attempts = 0
         WHERE id = ?`,
        status,
        now,
        text,
        finish,
        packUsage(usage),
        kept,
        toBytes(tail),
        this.#node.id,
      );
      changeMeta(sql, this.#host.now(), { ended: [this.#node.id], usage: totalsOf(usage, this.#node.choice) });
    });
    this.#host.changed(this.#node.id);
  }

  /** Brings state and log to the same place, the end of what is shown. */
  async #settle(): Promise<{ kept: number; tail: number[] }> {
    const { model, tokenizer } = this.#loaded;
    const { ids, ended, settled } = this.#output;
    const isCut = ended === "stop string" && settled < ids.length;
    const kept = isCut ? settled : ids.length;
    const tail = isCut ? tokenizer.encodeFurther(this.#output.shownBeyondSettled) : [];
    const consumed = this.#state.position - this.#promptEnd;
    if (consumed < 0) return { kept, tail };
    if (consumed > kept) {
      const { ids: heldAt, saved } = this.#beforeHeld as HeldState;
      model.backend.writeState(this.#state, saved.bytes, saved.position);
      absorbIfAny(model, this.#state, ids.slice(heldAt, kept));
    } else absorbIfAny(model, this.#state, ids.slice(consumed, kept));
    absorbIfAny(model, this.#state, tail);
    this.#beforeHeld = null; // its memory is wanted for the checkpoint
    return { kept, tail };
  }

  #text(): string {
    const text = new OutputText(this.#loaded.tokenizer, {
      stop: this.#request.stop,
      eosIds: this.#loaded.model.config.eosIds,
    });
    return this.#output.ids.map((id) => text.push(id)).join("") + text.end();
  }
}

/** One turn has one prompt, however many choices: the first one counts it. */
function totalsOf({ inputTokens, cachedTokens, outputTokens }: Usage, choice: number): UsageTotals {
  return choice === 0
    ? { turns: 1, inputTokens, cachedTokens, outputTokens }
    : { turns: 0, inputTokens: 0, cachedTokens: 0, outputTokens };
}

function absorbIfAny(model: LoadedModel["model"], state: State, tokens: readonly number[]): void {
  if (tokens.length > 0) absorb(model, state, tokens);
}
