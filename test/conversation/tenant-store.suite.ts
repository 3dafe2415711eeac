/** What every tenant's store answers to, on whichever SQLite it stands. */

import { describe, expect, test } from "vitest";
import type { Sql } from "../../shared/conversation/sql.ts";
import { CLAIM_SECONDS, TenantStore, UNHEARD_SECONDS } from "../../shared/conversation/tenant-store.ts";
import {
  EXPIRY_GRACE_SECONDS,
  SWEEP_PAUSE_SECONDS,
  SWEEP_ROWS,
  TOMBSTONE_SECONDS,
} from "../../shared/conversation/tenant-sweep.ts";
import type { CatalogueNote, UsageTotals } from "../../shared/conversation/tenant-types.ts";

/** Runs a body on an empty database, where that database lives. */
export type WithSql = (body: (sql: Sql) => Promise<void>) => Promise<void>;

const START = 1_800_000_000; // seconds since 1970
const DAY = 24 * 3600;

interface Harness {
  readonly store: TenantStore;
  readonly sql: Sql;
  readonly clock: { seconds: number };
  readonly wakes: number[];
  /** The same database under a new object, as after an eviction. */
  reopen(): TenantStore;
}

export function tenantStoreSuite(withSql: WithSql): void {
  function storeTest(name: string, body: (harness: Harness) => Promise<void>): void {
    test(name, () =>
      withSql(async (sql) => {
        const clock = { seconds: START };
        const wakes: number[] = [];
        const reopen = () =>
          new TenantStore(sql, { now: () => clock.seconds * 1000 + 999, wakeAt: (seconds) => wakes.push(seconds) });
        await body({ store: reopen(), sql, clock, wakes, reopen });
      }),
    );
  }

  describe("keys", () => {
    storeTest("are held from when they are added until they are revoked, after a restart too", async (harness) => {
      const { store, clock } = harness;
      const added = await store.addKey({ id: "aa", name: "laptop", sha256: "1".repeat(64) });
      expect(added).toStrictEqual({ id: "aa", name: "laptop", createdAt: START, revokedAt: null });
      expect(await store.holdsKey("aa", "1".repeat(64))).toBe(true);
      expect(await store.holdsKey("aa", `${"1".repeat(63)}2`)).toBe(false);
      expect(await store.holdsKey("aa", "")).toBe(false);
      expect(await store.holdsKey("bb", "1".repeat(64))).toBe(false);

      clock.seconds += 5;
      const revoked = { ...added, revokedAt: START + 5 };
      expect(await store.revokeKey("aa")).toStrictEqual(revoked);
      clock.seconds += 5;
      expect(await store.revokeKey("aa")).toStrictEqual(revoked);
      expect(await store.revokeKey("bb")).toBeNull();
      const reopened = harness.reopen();
      expect(await reopened.holdsKey("aa", "1".repeat(64))).toBe(false);
      expect(await reopened.listKeys()).toStrictEqual([revoked]);
    });

    storeTest(
      "added twice, by a request sent again, are one; another key under the same id is refused",
      async ({ store }) => {
        const key = { id: "aa", name: "laptop", sha256: "1".repeat(64) };
        const first = await store.addKey(key);
        expect(await store.addKey(key)).toStrictEqual(first);
        await expect(Promise.resolve(store.addKey({ ...key, sha256: "2".repeat(64) }))).rejects.toThrow(
          "another key has the id aa",
        );
        expect(await store.listKeys()).toHaveLength(1);
      },
    );

    storeTest("are listed oldest first", async ({ store, clock }) => {
      for (const id of ["cc", "aa", "bb"]) {
        await store.addKey({ id, name: id, sha256: id.repeat(32) });
        clock.seconds++;
      }
      expect((await store.listKeys()).map(({ id }) => id)).toStrictEqual(["cc", "aa", "bb"]);
    });
  });

  describe("the catalogue", () => {
    storeTest(
      "knows an object from its registration on, and lists it from its first note with a branch",
      async ({ store }) => {
        await store.register(object(1));
        await store.register(object(1));
        expect(await store.objects(null, 10)).toStrictEqual([object(1)]);
        expect(await listAll(store)).toStrictEqual([]);
        await store.note(note(1, { branches: [] })); // unlisted
        expect(await listAll(store)).toStrictEqual([]);
        await store.note(note(1, { updatedAt: START + 1 }));
        expect(await listAll(store)).toStrictEqual([[1, 0]]);
        await store.register(object(1)); // a late one changes nothing
        expect(await listAll(store)).toStrictEqual([[1, 0]]);
      },
    );

    storeTest("counts a note said twice once, and keeps the newest of notes out of order", async ({ store }) => {
      const first = note(1, { usage: usage(1, 10, 0, 5) });
      const second = note(1, { usage: usage(2, 30, 15, 9), updatedAt: START + 10, branches: branches(0, 1) });
      for (const said of [first, first, second, first, second]) await store.note(said);
      expect(await store.usage()).toStrictEqual(usage(2, 30, 15, 9));
      expect(await listAll(store)).toStrictEqual([
        [1, 1],
        [1, 0],
      ]);
    });

    storeTest("forgets what was erased, but not what a newer note says lives", async ({ store }) => {
      await store.note(note(1, { updatedAt: START + 5 }));
      await store.forget(object(1), START + 4); // late: what it forgets has begun anew
      expect(await listAll(store)).toStrictEqual([[1, 0]]);
      await store.note(note(1, { updatedAt: START + 6, expiresAt: START, branches: [] }));
      await store.forget(object(1), START + 5); // the note, of its last change, overtook it
      expect(await store.objects(null, 10)).toStrictEqual([]);
      await store.note(note(1, { updatedAt: START + 7 }));
      expect(await listAll(store)).toStrictEqual([[1, 0]]);
    });

    storeTest("pages both ways, newest first unless asked otherwise, each conversation once", async ({ store }) => {
      for (let n = 0; n < 25; n++) await store.note(note(n, { createdAt: START + (n % 4) })); // many in one second
      for (const order of ["asc", "desc"] as const)
        for (const limit of [1, 7, 25, 100]) {
          const seen = await listAll(store, order, limit);
          expect(seen).toHaveLength(25);
          expect(new Set(seen.map(([n]) => n)).size).toBe(25);
          const times = seen.map(([n]) => n % 4);
          expect(times).toStrictEqual(times.toSorted((a, b) => (order === "asc" ? a - b : b - a)));
        }
      expect(await store.conversations({ limit: 25, order: "desc" })).toMatchObject({ hasMore: false });
      expect(await store.conversations({ limit: 24, order: "desc" })).toMatchObject({ hasMore: true });
    });

    storeTest(
      "pages past conversations that come and go meanwhile, even those it went on behind",
      async ({ store }) => {
        for (let n = 0; n < 12; n++) await store.note(note(n, { createdAt: START + n }));
        const seen: number[] = [];
        let after: { object: string; branch: number } | undefined;
        for (let next = 100; ; next++) {
          const { conversations, hasMore } = await store.conversations({
            limit: 3,
            order: "desc",
            ...(after && { after }),
          });
          seen.push(...conversations.map((entry) => numberOf(entry.object)));
          after = conversations.at(-1);
          await store.note(note(next, { createdAt: START + next })); // newer than every page to come
          for (const { object } of conversations) await store.forget(object); // what a client that erases pages does
          if (!hasMore) break;
        }
        expect(seen).toStrictEqual([11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
        expect(await listAll(store)).toStrictEqual([103, 102, 101, 100].map((n) => [n, 0]));
      },
    );

    storeTest(
      "goes on behind a branch that was deleted, and has nothing behind one it never listed",
      async ({ store }) => {
        await store.note(note(1, { createdAt: START }));
        await store.note(note(2, { createdAt: START + 2, branches: branches(0, 1) }));
        await store.note(note(2, { updatedAt: START + 9, branches: branches(0) }));
        const behind = (n: number, branch: number) =>
          store.conversations({ limit: 9, order: "asc", after: { object: object(n), branch } });
        expect((await behind(2, 1)).conversations).toStrictEqual([]);
        const page = await store.conversations({ limit: 9, order: "desc", after: { object: object(2), branch: 1 } });
        expect(page.conversations.map((entry) => [numberOf(entry.object), entry.branch])).toStrictEqual([
          [2, 0],
          [1, 0],
        ]);
        expect(await behind(2, 7)).toStrictEqual({ conversations: [], hasMore: false });
        expect(await behind(3, 0)).toStrictEqual({ conversations: [], hasMore: false });
        // It is back, and at its place, whatever the note says of its age.
        const back = [...branches(0), { branch: 1, createdAt: START - 5 }];
        await store.note(note(2, { updatedAt: START + 10, branches: back }));
        expect(await listAll(store)).toStrictEqual([
          [2, 1],
          [2, 0],
          [1, 0],
        ]);
      },
    );

    // Deleted branches stayed in their row for ever: forked and deleted 75,000 times, no note was taken any more.
    storeTest("remembers the last branches that were deleted, not all of them", async ({ store, sql }) => {
      const count = 3000;
      for (let branch = 1; branch <= count; branch++)
        await store.note(note(1, { updatedAt: START + branch, branches: branches(0, branch) }));
      const [row] = sql.exec("SELECT branches FROM catalogue");
      expect(String(row.branches).length).toBeLessThan(25 * 1100);
      const behind = (branch: number) =>
        store.conversations({ limit: 9, order: "asc", after: { object: object(1), branch } });
      expect((await behind(count - 900)).conversations.map(({ branch }) => branch)).toStrictEqual([count]);
      expect((await behind(1)).conversations).toStrictEqual([]);
    });

    storeTest(
      "forgets: not listed, not an object any more, and a note from before does not bring it back",
      async ({ store, clock }) => {
        await store.note(note(1, { usage: usage(1, 10, 0, 5) }));
        clock.seconds += 100;
        await store.forget(object(1), START + 90);
        await store.forget(object(1), START + 100); // it was erased again, and that other notes are on their way is known
        await store.forget(object(1));
        await store.forget(object(2)); // never heard of
        await store.note(note(1, { updatedAt: START + 100, usage: usage(2, 25, 10, 7) })); // it was on its way
        expect(await listAll(store)).toStrictEqual([]);
        expect(await store.objects(null, 10)).toStrictEqual([]);
        expect(await store.usage()).toStrictEqual(usage(2, 25, 10, 7)); // what it says was used, was used

        clock.seconds += TOMBSTONE_SECONDS - 1; // and even by then
        store.sweep();
        await store.note(note(1, { updatedAt: START + 100, usage: usage(2, 25, 10, 7) }));
        expect(await store.objects(null, 10)).toStrictEqual([]);

        await store.register(object(1)); // something is about to be written there: it must be found
        expect(await store.objects(null, 10)).toStrictEqual([object(1)]);
        await store.note(note(1, { updatedAt: START + 99 }));
        expect(await listAll(store)).toStrictEqual([]);
      },
    );

    storeTest("walks through every object, listed or not, in pages", async ({ store }) => {
      for (let n = 0; n < 10; n++) await store.register(object(n));
      const seen: string[] = [];
      for (let after: string | null = null; ; after = seen.at(-1)!) {
        const page = await store.objects(after, 4);
        seen.push(...page);
        if (page.length < 4) break;
      }
      expect(seen).toStrictEqual(Array.from({ length: 10 }, (_, n) => object(n)));
    });

    storeTest("usage never shrinks: not by lower totals, not by forgetting, not by the sweep", async (harness) => {
      const { store, clock } = harness;
      expect(await store.usage()).toStrictEqual(usage(0, 0, 0, 0));
      for (let n = 0; n < 5; n++) await store.note(note(n, { usage: usage(1, 100, 50, 10) }));
      await store.note(note(0, { updatedAt: START + 1, usage: usage(0, 0, 0, 0) })); // its responses were deleted
      const total = usage(5, 500, 250, 50);
      expect(await store.usage()).toStrictEqual(total);
      for (let n = 0; n < 4; n++) {
        await store.forget(object(n)); // each is taken into the running total by a sweep of its own
        clock.seconds += 10;
      }
      for (const pause of [0, TOMBSTONE_SECONDS - 40, 10, 10, 10, DAY]) {
        clock.seconds += pause;
        harness.reopen().sweep();
        expect(await store.usage()).toStrictEqual(total);
      }
      expect(harness.sql.exec("SELECT COUNT(*) AS n FROM catalogue")).toMatchObject([{ n: 1 }]);
      await store.note(note(4, { updatedAt: START + 3 * DAY, usage: usage(2, 150, 90, 30) }));
      expect(await store.usage()).toStrictEqual(usage(6, 550, 290, 70));
    });
  });

  describe("claims", () => {
    storeTest("a claim is taken back by its own request only", async ({ store }) => {
      const [first, second] = [1, 2].map((number) => ({ object: object(number), node: null }));
      await store.claim("key", "hash", first);
      await store.unclaim("key", "other");
      expect(await store.claim("key", "hash", second)).toStrictEqual(first);
      await store.unclaim("key", "hash");
      expect(await store.claim("key", "other", second)).toStrictEqual(second);
    });

    storeTest("the first says where, the others hear it, another request is a conflict, for a day", async (harness) => {
      const { store, clock } = harness;
      const first = { object: object(1), node: null };
      expect(await store.claim("key", "hash", first)).toStrictEqual(first);
      expect(await store.claim("key", "hash", { object: object(2), node: 7 })).toStrictEqual(first);
      expect(await store.claim("key", "other", first)).toBe("conflict");
      expect(await store.claim("key2", "other", { object: object(3), node: 7 })).toStrictEqual({
        object: object(3),
        node: 7,
      });
      clock.seconds += CLAIM_SECONDS - 1;
      expect(await harness.reopen().claim("key", "other", first)).toBe("conflict");
      clock.seconds += 1; // over, swept or not
      const second = { object: object(4), node: 2 };
      expect(await store.claim("key", "other", second)).toStrictEqual(second);
    });
  });

  describe("prefixes", () => {
    storeTest(
      "are found until they expire, and the newest place of a history is the one that counts",
      async ({ store, clock }) => {
        expect(await store.findPrefix("h1")).toBeNull();
        await store.putPrefix("h1", { object: object(1), node: 3 }, START + 100);
        await store.putPrefix("h2", { object: object(2), node: 4 }, null);
        expect(await store.findPrefix("h1")).toStrictEqual({ object: object(1), node: 3 });
        await store.putPrefix("h1", { object: object(5), node: 6 }, START + 200);
        clock.seconds += 199;
        expect(await store.findPrefix("h1")).toStrictEqual({ object: object(5), node: 6 });
        clock.seconds += 1;
        expect(await store.findPrefix("h1")).toBeNull();
        expect(await store.findPrefix("h2")).toStrictEqual({ object: object(2), node: 4 });
      },
    );

    storeTest("are forgotten with their conversation, others stay", async ({ store }) => {
      for (let n = 0; n < 20; n++) await store.putPrefix(`h${n}`, { object: object(n % 2), node: n }, null);
      await store.forgetPrefixes(object(1));
      await store.forgetPrefixes(object(9));
      for (let n = 0; n < 20; n++)
        expect(await store.findPrefix(`h${n}`)).toStrictEqual(n % 2 ? null : { object: object(0), node: n });
    });
  });

  describe("the sweep", () => {
    storeTest("is asked for when something will end, and not for what stays", async ({ store, wakes }) => {
      await store.addKey({ id: "aa", name: "", sha256: "" });
      await store.putPrefix("h", { object: object(1), node: 1 }, null);
      await store.note(note(1, { expiresAt: null }));
      expect(wakes).toStrictEqual([]);
      expect(store.sweep()).toBeNull();

      await store.putPrefix("h", { object: object(1), node: 1 }, START + 50);
      await store.claim("key", "hash", { object: object(1), node: 1 });
      await store.note(note(2, { expiresAt: START + 70 }));
      await store.note(note(2, { expiresAt: START + 70 })); // said again: the first time may have failed half-way
      await store.forget(object(1));
      await store.register(object(3));
      expect(wakes).toStrictEqual([
        START + 50,
        START + CLAIM_SECONDS,
        START + 70 + EXPIRY_GRACE_SECONDS,
        START + 70 + EXPIRY_GRACE_SECONDS,
        START + TOMBSTONE_SECONDS,
        START + UNHEARD_SECONDS + EXPIRY_GRACE_SECONDS,
      ]);
    });

    storeTest("throws away what has expired and nothing else, and says when it is needed next", async (harness) => {
      const { store, sql, clock } = harness;
      await store.putPrefix("early", { object: object(1), node: 1 }, START + 10);
      await store.putPrefix("late", { object: object(1), node: 1 }, START + 3 * DAY);
      await store.claim("key", "hash", { object: object(1), node: 1 });
      expect(store.sweep()).toBe(START + SWEEP_PAUSE_SECONDS); // never more often than that
      expect(count(sql, "prefixes")).toBe(2);
      clock.seconds += 10;
      store.sweep();
      expect(count(sql, "prefixes")).toBe(1);
      expect(count(sql, "claims")).toBe(1);
      clock.seconds += DAY;
      expect(store.sweep()).toBe(START + 3 * DAY);
      expect(count(sql, "claims")).toBe(0);
      clock.seconds = START + 3 * DAY;
      expect(store.sweep()).toBeNull();
      expect(count(sql, "prefixes")).toBe(0);
    });

    storeTest("forgets expired conversations after the grace, and what was never heard of again", async (harness) => {
      const { store, clock } = harness;
      await store.note(note(1, { expiresAt: START + 100 }));
      await store.note(note(2, { expiresAt: null }));
      await store.register(object(3));
      clock.seconds += 100;
      expect(await listAll(store)).toStrictEqual([[2, 0]]); // expired is not listed, swept or not
      store.sweep();
      expect(await store.objects(null, 9)).toContain(object(1));
      await store.note(note(1, { updatedAt: START + 99, expiresAt: START + DAY })); // its last turn moved the end
      expect(await listAll(store)).toStrictEqual([
        [2, 0],
        [1, 0],
      ]);
      clock.seconds = START + DAY + EXPIRY_GRACE_SECONDS;
      store.sweep();
      expect(await store.objects(null, 9)).toStrictEqual([object(2), object(3)]);
      clock.seconds = START + UNHEARD_SECONDS + EXPIRY_GRACE_SECONDS;
      store.sweep();
      expect(await store.objects(null, 9)).toStrictEqual([object(2)]);
    });

    storeTest("works in bounded batches and comes back soon for the rest", async ({ store, sql, clock }) => {
      const total = 2 * SWEEP_ROWS + 3;
      sql.transaction(() => {
        for (let n = 0; n < total; n++)
          sql.exec("INSERT INTO prefixes (hash, object, node, expires_at) VALUES (?, ?, ?, ?)", `h${n}`, "o", n, START);
      });
      for (const left of [SWEEP_ROWS + 3, 3]) {
        expect(store.sweep()).toBe(clock.seconds + 1);
        expect(count(sql, "prefixes")).toBe(left);
        clock.seconds += 1;
      }
      expect(store.sweep()).toBeNull();
      expect(count(sql, "prefixes")).toBe(0);
    });
  });

  describe("text from outside", () => {
    storeTest("is a value and never a part of a statement", async ({ store, sql }) => {
      const evil = "x'); DROP TABLE keys; --";
      await store.addKey({ id: evil, name: evil, sha256: evil });
      await store.claim(evil, evil, { object: evil, node: null });
      await store.putPrefix(evil, { object: evil, node: 1 }, null);
      await store.register(evil);
      expect(await store.listKeys()).toMatchObject([{ id: evil, name: evil }]);
      expect(await store.claim(evil, evil, { object: "", node: 1 })).toMatchObject({ object: evil });
      expect(await store.findPrefix(evil)).toMatchObject({ object: evil });
      expect(await store.objects("", 1)).toStrictEqual([evil]);
      expect(count(sql, "keys")).toBe(1);
    });
  });
}

function object(n: number): string {
  return n.toString(16).padStart(64, "0");
}

function numberOf(name: string): number {
  return Number.parseInt(name, 16);
}

function usage(turns: number, inputTokens: number, cachedTokens: number, outputTokens: number): UsageTotals {
  return { turns, inputTokens, cachedTokens, outputTokens };
}

/** Branches of a conversation, the later number the later. */
function branches(...numbers: number[]): { branch: number; createdAt: number }[] {
  return numbers.map((branch) => ({ branch, createdAt: START + 2 + branch }));
}

function note(n: number, changes: Partial<CatalogueNote> = {}): CatalogueNote {
  const createdAt = changes.createdAt ?? START;
  return {
    object: object(n),
    createdAt,
    updatedAt: START,
    expiresAt: null,
    usage: usage(0, 0, 0, 0),
    branches: [{ branch: 0, createdAt }],
    ...changes,
  };
}

function count(sql: Sql, table: string): number {
  return Number(sql.exec(`SELECT COUNT(*) AS n FROM ${table}`)[0].n);
}

/** Every listed conversation, page by page, as [object's number, branch]. */
async function listAll(store: TenantStore, order: "asc" | "desc" = "desc", limit = 10): Promise<[number, number][]> {
  const seen: [number, number][] = [];
  let after: { object: string; branch: number } | undefined;
  for (;;) {
    const { conversations, hasMore } = await store.conversations({ limit, order, ...(after && { after }) });
    seen.push(...conversations.map((entry): [number, number] => [numberOf(entry.object), entry.branch]));
    after = conversations.at(-1);
    if (!hasMore) return seen;
  }
}
