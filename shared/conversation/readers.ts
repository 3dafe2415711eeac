/** Streams of a response's events: read from the log, so a reader may come at any time and as often as it likes. */

import { AerieError } from "../errors.ts";
import type { LoadedModel } from "./model-source.ts";
import { findNode, type Node, toRecord } from "./nodes.ts";
import type { Sql } from "./sql.ts";
import { readIds, readLogprobs } from "./token-log.ts";
import { TextEvents } from "./turn-events.ts";
import type { LogprobRecord, ResponseRecord, TurnEvent } from "./types.ts";

/** Wakes whoever waits for news of a node. */
export class Bell {
  readonly #waiting = new Map<number, Set<() => void>>();

  /** Resolves at the next `ring`, or when `stop` is called on the returned handle. */
  wait(node: number): { readonly rung: Promise<void>; stop(): void } {
    let wake: () => void = () => undefined;
    const rung = new Promise<void>((resolve) => {
      wake = resolve;
    });
    const set = this.#waiting.get(node) ?? new Set();
    this.#waiting.set(node, set);
    set.add(wake);
    const stop = () => {
      set.delete(wake); // a node that is over never rings again
      if (set.size === 0 && this.#waiting.get(node) === set) this.#waiting.delete(node);
      wake();
    };
    return { rung, stop };
  }

  /** How many wait, for whatever node. */
  get waiting(): number {
    return [...this.#waiting.values()].reduce((sum, set) => sum + set.size, 0);
  }

  ring(node: number): void {
    const set = this.#waiting.get(node);
    this.#waiting.delete(node);
    for (const wake of set ?? []) wake();
  }
}

export interface ReaderHost {
  readonly sql: Sql;
  readonly bell: Bell;
  /** How far a running response's prompt is processed. */
  prefillOf(node: number): { readonly done: number; readonly total: number } | null;
  /** The bell does not ring for this node any more: another instance computes it. */
  isLost(node: number): boolean;
}

export interface StreamOptions {
  /** Only the `end` events. */
  readonly quiet: boolean;
  /** Called once, when the reader leaves before the end. */
  readonly onLeave?: () => void;
}

/** NDJSON of the events of some responses, one response after the other. `loaded` is null where their model is gone. */
export function eventStream(
  host: ReaderHost,
  loaded: LoadedModel | null,
  nodes: readonly number[],
  { quiet, onLeave }: StreamOptions,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const batches = new BatchReader(host, loaded, nodes, quiet);
  return new ReadableStream({
    type: "bytes",
    async pull(controller) {
      const batch = await batches.next();
      if (batch === null) return controller.close();
      controller.enqueue(encoder.encode(batch.map((event) => `${JSON.stringify(event)}\n`).join("") || "\n"));
    },
    cancel() {
      batches.stop();
      onLeave?.();
    },
  });
}

/** Groups of events: whatever is there when it is asked for. */
class BatchReader {
  readonly #host: ReaderHost;
  readonly #loaded: LoadedModel | null;
  readonly #nodes: readonly number[];
  readonly #quiet: boolean;
  #at = 0;
  #texts: TextEvents | null = null;
  #hasLogprobs = false;
  #prefilled = 0;
  #stopped = false;
  #stopWaiting: () => void = () => undefined;

  constructor(host: ReaderHost, loaded: LoadedModel | null, nodes: readonly number[], quiet: boolean) {
    this.#host = host;
    this.#loaded = loaded;
    this.#nodes = nodes;
    this.#quiet = quiet;
  }

  stop(): void {
    this.#stopped = true;
    this.#stopWaiting();
  }

  /** null at the end; empty where there is news that this reader did not ask for. */
  async next(): Promise<TurnEvent[] | null> {
    while (!this.#stopped && this.#at < this.#nodes.length) {
      const id = this.#nodes[this.#at];
      const { rung, stop } = this.#host.bell.wait(id); // before looking, so that nothing is missed in between
      this.#stopWaiting = stop;
      const events = this.#look(id);
      if (events === null || events.length > 0) {
        stop();
        return events;
      }
      // Broken off rather than silent: whoever reads joins again, where the response is computed.
      if (this.#host.isLost(id))
        throw new AerieError("conversation.lease", `response ${id} goes on in another instance`);
      await rung;
      // That a reader is gone shows when something is sent: one who waits for the end alone would be computed for to the end.
      if (this.#quiet && !this.#stopped) return [];
    }
    return null;
  }

  #look(id: number): TurnEvent[] | null {
    const { sql } = this.#host;
    const events: TurnEvent[] = [];
    if (this.#texts === null) {
      const node = findNode(sql, id);
      const record = node && toRecord(node);
      if (!node || !record) return null; // erased meanwhile
      this.#texts = new TextEvents(this.#loaded, id, record);
      this.#hasLogprobs = record.sampling.logprobs;
      this.#prefilled = 0;
      if (!this.#quiet) events.push({ type: "start", response: asBegun(record) });
    }
    const [row] = sql.exec("SELECT status, prompt_length, digest FROM node WHERE id = ?", id);
    if (!row || row.status === "erased") return null;
    const isReadable = row.digest === this.#loaded?.digest;
    if (!this.#quiet) {
      events.push(...this.#prefillEvent(id));
      if (isReadable) events.push(...this.#textEvents(id, row.prompt_length as number));
    }
    if (row.status === "in_progress") return events;
    const response = finishedRecord(sql, this.#loaded, findNode(sql, id) as Node) as ResponseRecord;
    if (!this.#quiet) events.push(...(isReadable ? this.#texts.end() : this.#texts.whole(response.output)));
    events.push({ type: "end", texts: this.#texts.count, response });
    this.#texts = null;
    this.#at++;
    return events;
  }

  #prefillEvent(node: number): TurnEvent[] {
    const progress = this.#host.prefillOf(node);
    if (!progress || progress.done <= this.#prefilled) return [];
    this.#prefilled = progress.done;
    return [{ type: "prefill", node, ...progress }];
  }

  #textEvents(id: number, promptLength: number): TurnEvent[] {
    const texts = this.#texts as TextEvents;
    const from = promptLength + texts.ids;
    const ids = readIds(this.#host.sql, id, from);
    if (ids.length === 0) return [];
    return texts.push(ids, this.#hasLogprobs ? readLogprobs(this.#host.sql, id, from) : null);
  }
}

/** As it was at its beginning, whatever has become of it since. */
function asBegun(record: ResponseRecord): ResponseRecord {
  return {
    ...record,
    status: "in_progress",
    completedAt: null,
    output: "",
    finishReason: null,
    error: null,
    usage: null,
  };
}

/** What readers of a node's log have seen so far, as one text. null: another model's ids. */
export function loggedText(sql: Sql, loaded: LoadedModel, node: Node): string | null {
  if (!node.request || node.log?.digest !== loaded.digest) return null;
  const texts = new TextEvents(loaded, node.id, node.request);
  const events = [...texts.push(readIds(sql, node.id, node.log.promptLength), null), ...texts.end()];
  return events.map(({ text }) => text).join("");
}

/** A response that is over, with its log-probabilities. null: erased. */
export function finishedRecord(sql: Sql, loaded: LoadedModel | null, node: Node): ResponseRecord | null {
  const record = toRecord(node);
  if (!record?.sampling.logprobs || !loaded || node.log?.digest !== loaded.digest) return record;
  const { promptLength } = node.log;
  const texts = new TextEvents(loaded, node.id, record);
  const events = texts.push(readIds(sql, node.id, promptLength), readLogprobs(sql, node.id, promptLength));
  const logprobs: LogprobRecord[] = [...events, ...texts.end()].flatMap((event) => event.logprobs ?? []);
  return { ...record, logprobs };
}
