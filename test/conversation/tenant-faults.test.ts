/** A tenant's object fails at every point of what it is asked, and is asked again: nothing is lost, doubled, or never swept. */

import { expect, test } from "vitest";
import { nodeSql } from "../../cli/node-sql.ts";
import { TenantStore } from "../../shared/conversation/tenant-store.ts";
import type { CatalogueNote } from "../../shared/conversation/tenant-types.ts";
import { FaultPoints, InjectedFailure } from "./faults.ts";
import { copyOf, dumpOf, emptyDatabase } from "./node-shell.ts";

const START = 1_800_000_000; // seconds since 1970
const DAY = 24 * 3600;

const note = (changes: Partial<CatalogueNote>): CatalogueNote => ({
  object: "a",
  createdAt: START,
  updatedAt: START,
  expiresAt: START + DAY,
  usage: { turns: 1, inputTokens: 10, cachedTokens: 4, outputTokens: 5 },
  branches: [{ branch: 1, createdAt: START }],
  ...changes,
});

/** What was there before, and what is asked, of a store whose clock stands at some seconds behind the start. */
const scenes: Record<
  string,
  { before?(store: TenantStore): Promise<unknown>; seconds?: number; act(store: TenantStore): unknown }
> = {
  "a key": { act: (store) => store.addKey({ id: "k", name: "laptop", sha256: "1".repeat(64) }) },
  "a registration": { act: (store) => store.register("a") },
  "a first note": { before: (store) => store.register("a"), act: (store) => store.note(note({})) },
  "a note of branches that came and went": {
    before: (store) => store.note(note({})),
    act: (store) =>
      store.note(note({ updatedAt: START + 1, branches: [2, 3].map((branch) => ({ branch, createdAt: START })) })),
  },
  "a note of a conversation that will expire now": {
    before: (store) => store.note(note({ expiresAt: null })),
    act: (store) => store.note(note({ updatedAt: START + 1, branches: [] })),
  },
  "a conversation's end": { before: (store) => store.note(note({})), act: (store) => store.forget("a") },
  "a claim": { act: (store) => store.claim("key", "hash", { object: "a", node: 1 }) },
  "a claim that is taken": {
    before: (store) => store.claim("key", "hash", { object: "a", node: 1 }),
    act: (store) => store.claim("key", "hash", { object: "b", node: null }),
  },
  "a prefix": { act: (store) => store.putPrefix("hash", { object: "a", node: 1 }, START + DAY) },
  "the prefixes of a conversation": {
    before: (store) => store.putPrefix("hash", { object: "a", node: 1 }, START + DAY),
    act: (store) => store.forgetPrefixes("a"),
  },
  "a sweep": {
    async before(store) {
      await store.note(note({}));
      await store.note(note({ object: "b", expiresAt: null }));
      await store.forget("b");
      await store.claim("key", "hash", { object: "a", node: 1 });
      await store.putPrefix("hash", { object: "a", node: 1 }, START + 5);
    },
    seconds: 3 * DAY,
    act: (store) => store.sweep(),
  },
};

test.each(Object.keys(scenes))("%s", async (name) => {
  const { before, seconds = 0, act } = scenes[name];
  const prepared = emptyDatabase();
  const open = (database: typeof prepared, now: number, faults: FaultPoints, wakes: number[]) =>
    new TenantStore(faults.sql(nodeSql(database)), {
      now: () => 1000 * now,
      wakeAt(time) {
        faults.pass("wakeAt");
        wakes.push(time);
      },
    });
  await before?.(open(prepared, START, new FaultPoints(null), []));

  /** Until it is answered, by one object after the other. */
  async function play(at: number) {
    const database = copyOf(prepared);
    const faults = new FaultPoints({ at, kind: "once" });
    const wakes: number[] = [];
    const answers: unknown[] = [];
    for (const life of [faults, new FaultPoints(null)]) {
      if (answers.length > 0) break;
      try {
        answers.push(await act(open(database, START + seconds, life, wakes)));
      } catch (error) {
        if (!(error instanceof InjectedFailure)) throw error;
      }
    }
    const tables = dumpOf(database);
    database.close();
    return { hasFired: faults.hasFired, outcome: { answers, tables, wakeAt: Math.min(...wakes) } };
  }

  const { outcome: expected } = await play(0);
  let at = 1;
  for (; ; at++) {
    const { hasFired, outcome } = await play(at);
    if (!hasFired) break;
    expect(outcome, `point ${at}`).toStrictEqual(expected);
  }
  expect(at).toBeGreaterThan(7); // the tables and a statement at least
  prepared.close();
});
