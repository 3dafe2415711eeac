/** Clients that outlive their server: they keep what they were told and go on behind it. */

import { blocks, fetchFrom, type Json, type StreamEvent } from "./http.ts";
import type { Runtime } from "./runtime.ts";

export interface Target {
  readonly body: Json;
  readonly idempotencyKey: string;
}

/** Shut while there is no server. */
export interface Gate {
  open(): void;
  close(): void;
  passed(): Promise<void>;
}

export function openGate(): Gate {
  let release: () => void = () => undefined;
  let passing = Promise.resolve();
  return {
    open: () => release(),
    close() {
      passing = new Promise((resolve) => {
        release = resolve;
      });
    },
    passed: () => passing,
  };
}

const lastTypes = new Set(["response.completed", "response.incomplete", "response.failed"]);

/** Tries without an end would hide a server that never answers. */
export const MAX_TRIES = 12;

const pause = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

/** The events of one response, each once. */
export class Reader {
  readonly events: StreamEvent[] = [];
  readonly problems: string[] = [];
  readonly #runtime: Runtime;
  readonly #key: string;
  readonly #gate: Gate;
  #prefills = 0;
  #watchers: { isDue(): boolean; resolve(): void }[] = [];

  constructor(runtime: Runtime, key: string, gate: Gate) {
    this.#runtime = runtime;
    this.#key = key;
    this.#gate = gate;
  }

  get isComplete(): boolean {
    return lastTypes.has(this.events.at(-1)?.type ?? "");
  }

  /** Resolves once so many events are here. */
  heardEvents(count: number): Promise<void> {
    return this.#when(() => this.events.length >= count);
  }

  /** Resolves once so many comments said how far the prompt is. */
  heardOfPrefill(count: number): Promise<void> {
    return this.#when(() => this.#prefills >= count || this.events.length > 4);
  }

  /** Reads to the end, however often the connection breaks. */
  async follow(id: string): Promise<Reader> {
    for (let tries = 0; !this.isComplete; tries++) {
      if (tries === MAX_TRIES) throw new Error(`no end after ${tries} connections`);
      await this.#gate.passed();
      const after = this.events.at(-1)?.sequence_number;
      const query = after === undefined ? "" : `&starting_after=${after}`;
      const response = await fetchFrom(
        this.#runtime,
        this.#key,
        "GET",
        `/v1/responses/${id}?stream=true${query}`,
      ).catch(() => null);
      if (response?.ok === false) this.problems.push(`${response.status} for a reader: ${await response.text()}`);
      else if (response) await this.read(response);
      if (!this.isComplete) await pause(50);
    }
    return this;
  }

  /** Takes what one connection brings; one that breaks is no problem. */
  async read(response: Response): Promise<void> {
    try {
      for await (const block of blocks(response)) {
        if (typeof block === "string") this.#prefills++;
        else if (block) this.#take(block);
        this.#watchers = this.#watchers.filter((watcher) => !watcher.isDue() || watcher.resolve());
      }
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // what fetch throws for a connection that broke
    }
  }

  #take(event: StreamEvent): void {
    const expected = this.events.length;
    if (event.type === "error") this.problems.push(`an error event: ${JSON.stringify(event)}`);
    else if (event.sequence_number !== expected)
      this.problems.push(`event ${event.sequence_number} came where ${expected} was expected`);
    else this.events.push(event);
  }

  #when(isDue: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      if (isDue()) resolve();
      else this.#watchers.push({ isDue, resolve });
    });
  }
}

/** Asks for a reply until it knows that it was heard, and reads it. */
export class Writer {
  readonly reader: Reader;
  readonly id: Promise<string>;
  retries = 0;
  readonly #runtime: Runtime;
  readonly #key: string;
  readonly #target: Target;
  readonly #gate: Gate;
  #running: Promise<Reader> | null = null;

  constructor(runtime: Runtime, key: string, target: Target, gate: Gate) {
    this.#runtime = runtime;
    this.#key = key;
    this.#target = target;
    this.#gate = gate;
    this.reader = new Reader(runtime, key, gate);
    this.id = this.reader.heardEvents(1).then(() => (this.reader.events[0].response as { id: string }).id);
  }

  run(): Promise<Reader> {
    this.#running ??= this.#run();
    return this.#running;
  }

  async #run(): Promise<Reader> {
    for (let tries = 0; this.reader.events.length === 0; tries++) {
      if (tries === MAX_TRIES) throw new Error(`no reply after ${tries} requests`);
      if (tries > 0) this.retries++;
      await this.#gate.passed();
      const response = await fetchFrom(this.#runtime, this.#key, "POST", "/v1/responses", this.#target.body, {
        headers: { "idempotency-key": this.#target.idempotencyKey },
      }).catch(() => null);
      if (response?.ok === false)
        this.reader.problems.push(`${response.status} for a writer: ${await response.text()}`);
      else if (response) await this.reader.read(response);
      if (this.reader.events.length === 0) await pause(50);
    }
    return this.reader.follow(await this.id);
  }
}
