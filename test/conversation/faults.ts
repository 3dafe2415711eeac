/** Failures on purpose: of everything that a conversation's or a tenant's object uses outside itself, the n-th fails. */

import type { ModelSource } from "../../shared/conversation/model-source.ts";
import type { Sql, SqlRow, SqlValue } from "../../shared/conversation/sql.ts";

export interface Fault {
  /** Which point, from 1; or the first one at which this is done. */
  readonly at: number | string;
  /** What happens there: an error, once; errors from there on; or something that the test does. */
  readonly kind: "once" | "for ever" | (() => void);
}

export class InjectedFailure extends Error {}

/**
 * An instance's points: every statement; before, at and right behind each commit, where it has happened and nobody is told;
 * every call of its host.
 */
export class FaultPoints {
  /** What was done at each point, in order. */
  readonly passed: string[] = [];
  hasFired = false;
  readonly fired: Promise<void>;
  #resolveFired: () => void = () => undefined;
  readonly #fault: Fault | null;
  #isInside = false;

  constructor(fault: Fault | null) {
    this.#fault = fault;
    this.fired = new Promise((resolve) => {
      this.#resolveFired = resolve;
    });
  }

  pass(what: string): void {
    this.passed.push(what);
    if (!this.#fault) return;
    const { at, kind } = this.#fault;
    const count = this.passed.length;
    const isDue = at === count || at === what;
    if (typeof kind === "function") {
      const isOver = typeof at === "number" && count > at;
      if (!(isDue || isOver) || this.#isInside || this.hasFired) return; // nobody looks into the middle of a transaction
      this.hasFired = true;
      kind();
    } else if (this.hasFired ? kind === "for ever" : isDue) {
      this.hasFired = true;
      this.#resolveFired();
      throw new InjectedFailure(`point ${count}: ${what}`);
    }
  }

  sql(inner: Sql): Sql {
    let last = "";
    return {
      exec: (query: string, ...values: SqlValue[]): SqlRow[] => {
        last = query.trim().replaceAll(/\s+/g, " ");
        this.pass(last);
        return inner.exec(query, ...values);
      },
      transaction: (body) => {
        this.pass("begin");
        const result = inner.transaction(() => {
          this.#isInside = true;
          try {
            const value = body();
            this.pass(`commit of ${last}`);
            return value;
          } finally {
            this.#isInside = false;
          }
        });
        this.pass(`behind the commit of ${last}`);
        return result;
      },
    };
  }

  /** A call that may fail where the other side does. */
  call<Arguments extends unknown[], Result>(
    what: string,
    to: (...values: Arguments) => Promise<Result>,
  ): (...values: Arguments) => Promise<Result> {
    return async (...values) => {
      this.pass(what);
      const result = await to(...values);
      this.pass(`reply of ${what}`);
      return result;
    };
  }

  models(inner: ModelSource): ModelSource {
    return {
      load: this.call("load", (id, onProgress) => inner.load(id, onProgress)),
      admit: (loaded, needs) => {
        this.pass("admit");
        return inner.admit(loaded, needs);
      },
      discard: (loaded) => inner.discard(loaded),
    };
  }
}
