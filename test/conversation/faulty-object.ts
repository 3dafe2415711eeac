/** A conversation's object whose storage fails when it is told to, and whose alarm behaves as the platform's does. */

import { createHash, createHmac } from "node:crypto";
import { ConversationCore, type ConversationHost } from "../../shared/conversation/conversation.ts";
import type { ModelSource } from "../../shared/conversation/model-source.ts";
import type { Sql, SqlRow, SqlValue } from "../../shared/conversation/sql.ts";

export interface Fault {
  /** Which point of the instance's use of storage, from 1. */
  readonly at: number;
  /** What happens there: an error, once; errors from there on; or something that the test does. */
  readonly kind: "once" | "for ever" | (() => void);
}

export class StorageFailure extends Error {}

/** Points are: every statement, and before, at and right behind each commit: there it has happened and nobody is told. */
class FaultySql implements Sql {
  points = 0;
  hasFired = false;
  readonly fired: Promise<void>;
  #resolveFired: () => void = () => undefined;
  readonly #inner: Sql;
  readonly #fault: Fault | null;
  #isInside = false;

  constructor(inner: Sql, fault: Fault | null) {
    this.#inner = inner;
    this.#fault = fault;
    this.fired = new Promise((resolve) => {
      this.#resolveFired = resolve;
    });
  }

  exec(query: string, ...values: SqlValue[]): SqlRow[] {
    this.#point();
    return this.#inner.exec(query, ...values);
  }

  transaction<Result>(body: () => Result): Result {
    this.#point();
    const result = this.#inner.transaction(() => {
      this.#isInside = true;
      try {
        const value = body();
        this.#point();
        return value;
      } finally {
        this.#isInside = false;
      }
    });
    this.#point();
    return result;
  }

  #point(): void {
    this.points++;
    if (!this.#fault) return;
    const { at, kind } = this.#fault;
    if (typeof kind === "function") {
      if (this.points < at || this.#isInside || this.hasFired) return; // nobody looks into the middle of a transaction
      this.hasFired = true;
      kind();
    } else if (this.points === at || (kind === "for ever" && this.points > at)) {
      this.hasFired = true;
      this.#resolveFired();
      throw new StorageFailure(`point ${this.points}`);
    }
  }
}

export interface Instance {
  readonly core: ConversationCore;
  readonly storage: { readonly points: number; readonly hasFired: boolean; readonly fired: Promise<void> };
}

/** How often the platform tries a failed alarm again. */
const ALARM_TRIES = 6;

export class FaultyObject {
  readonly sql: Sql;
  readonly reports: string[] = [];
  /** What a run rejected with: nobody hears of that. */
  readonly unheard: unknown[] = [];
  segmentTokens = Number.POSITIVE_INFINITY;
  forgotten = false;
  readonly #models: ModelSource;
  readonly #work = new Set<Promise<unknown>>();

  constructor(sql: Sql, models: ModelSource) {
    this.sql = sql;
    this.#models = models;
  }

  /** A new instance, as after a restart. Those before it are not told. */
  open(fault: Fault | null = null): Instance {
    const storage = new FaultySql(this.sql, fault);
    const opened: { core: ConversationCore | null } = { core: null };
    const host: ConversationHost = {
      object: "0".repeat(64),
      tenant: "default",
      sql: storage,
      models: this.#models,
      digest: async (bytes) => createHash("sha256").update(bytes).digest("hex"),
      sign: async (bytes) => new Uint8Array(createHmac("sha256", "key").update(bytes).digest()),
      now: () => Date.now(),
      sleep: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
      segmentTokens: () => this.segmentTokens,
      wakeAt: (milliseconds) => {
        if (milliseconds <= Date.now()) this.#track(this.#alarm(() => opened.core?.wake()));
      },
      keepAlive: (work) => this.#track(work.catch((error) => void this.unheard.push(error))),
      note: async () => undefined,
      report: (what, error) => void this.reports.push(`${what}: ${String(error)}`),
      forget: async () => {
        this.forgotten = true;
      },
    };
    opened.core = new ConversationCore(host);
    return { core: opened.core, storage };
  }

  /** Resolves once nothing computes any more. */
  async settled(): Promise<void> {
    while (this.#work.size > 0) await Promise.all(this.#work);
  }

  /** Nothing that computes now is waited for any more. */
  abandon(): void {
    this.#work.clear();
  }

  async #alarm(wake: () => Promise<void> | undefined): Promise<void> {
    for (let tries = 0; tries < ALARM_TRIES; tries++) {
      await new Promise((resolve) => setTimeout(resolve, tries));
      try {
        return await wake();
      } catch (error) {
        if (!(error instanceof StorageFailure)) throw error;
      }
    }
  }

  #track(work: Promise<unknown>): void {
    this.#work.add(work);
    void work.finally(() => this.#work.delete(work));
  }
}
