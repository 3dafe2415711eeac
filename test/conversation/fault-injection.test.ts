/** Whatever an object uses fails, at every single point: the storage, the tenant, the model source; once, or until it is opened again. */

import type { DatabaseSync } from "node:sqlite";
import { beforeAll, describe, expect, test } from "vitest";
import { nodeSql } from "../../cli/node-sql.ts";
import type { ConversationCore } from "../../shared/conversation/conversation.ts";
import { readMeta } from "../../shared/conversation/meta.ts";
import type { LoadedModel } from "../../shared/conversation/model-source.ts";
import type { Sql } from "../../shared/conversation/sql.ts";
import { TenantStore } from "../../shared/conversation/tenant-store.ts";
import type { ResponseRecord, TurnRequest } from "../../shared/conversation/types.ts";
import { type Fault, FaultPoints } from "./faults.ts";
import { digest, finished, greedy, OBJECT, request, sampled, sourceOf, testObject, unwrap, user } from "./fixture.ts";
import { checkInvariants, unnamedParts } from "./invariants.ts";
import { copyOf, emptyDatabase, loadFledgling } from "./node-shell.ts";

let loaded: LoadedModel;
let endless: TurnRequest["sampling"]["logitBias"];

beforeAll(async () => {
  loaded = await loadFledgling();
  endless = loaded.model.config.eosIds.map((id) => [id, -100]);
});

const ask = (input: string, options: Partial<TurnRequest> = {}) =>
  request(loaded.id, input, { sampling: { ...greedy, logitBias: endless }, maxTokens: 6, ...options });

/** What a client can tell of a response, but for what its recovery cost. */
function told({ output, status, finishReason, usage, branch }: ResponseRecord) {
  const { inputTokens = 0, cachedTokens = 0, outputTokens = 0, processedTokens = 0 } = usage ?? {};
  const isCounted = processedTokens === inputTokens - cachedTokens + outputTokens;
  return { output, status, finishReason, branch, inputTokens, outputTokens, isCounted };
}

interface Scenario {
  readonly segmentTokens?: number;
  /** The clock stands so long after 1970 when the scene begins. */
  readonly clock?: number;
  /** Nothing is left in the end, and the tenant knows nothing of it. */
  readonly isForgotten?: boolean;
  /** Its middle erases something. */
  readonly isErasure?: boolean;
  /** What need not hold until its middle is over. */
  readonly tolerated?: RegExp;
  /** What has happened to the rows before the scene. */
  readonly damage?: (sql: Sql) => unknown;
  /** On storage that works. */
  prepare(core: ConversationCore): Promise<Scene>;
}

interface Scene {
  /** What is interrupted. Called again afterwards, as a client would that has heard nothing. */
  act(core: ConversationCore, tenant: TenantStore): Promise<unknown[]>;
  /** What goes on from there. */
  after(core: ConversationCore): Promise<unknown[]>;
}

const bytesOf = async (file: ReadableStream<Uint8Array>) => new Uint8Array(await new Response(file).arrayBuffer());
const node = (id: number) => ({ kind: "node", node: id }) as const;
const run = async (core: ConversationCore, turn: TurnRequest): Promise<ResponseRecord[]> =>
  finished(await core.turn(turn, { quiet: true }));
const idempotency = { key: "k", requestHash: "h" };

/** A turn that is asked for with an idempotency key, and a follow-up behind its last choice. */
function turnScene(
  options: () => Partial<TurnRequest>,
  before: string | null,
  segmentTokens = 1e9,
  damage?: Scenario["damage"],
): Scenario {
  return {
    segmentTokens,
    ...(damage && { damage }),
    tolerated: /^part \d+: its bytes are not/,
    async prepare(core) {
      const { branch } = unwrap(await core.createBranch({ node: null, items: [], metadata: {} }));
      const parent = before === null ? ({ kind: "root" } as const) : ({ kind: "branch", branch } as const);
      if (before !== null) await run(core, ask(before, { parent }));
      let last = 0;
      return {
        async act(now) {
          const records = await run(now, ask("Tell me a story.", { parent, idempotency, ...options() }));
          last = records.at(-1)?.node as number;
          return records.map(told);
        },
        after: async (now) => (await run(now, ask("And then?", { parent: node(last) }))).map(told),
      };
    },
  };
}

interface Pair {
  readonly branch: number;
  readonly first: number;
  readonly second: number;
}

/** Two exchanges, and what is done with them. */
function pairScene(
  act: (core: ConversationCore, at: Pair, tenant: TenantStore) => Promise<unknown[]>,
  after: (core: ConversationCore, at: Pair) => Promise<unknown[]>,
  conditions: Partial<Scenario> = {},
): Scenario {
  return {
    ...conditions,
    async prepare(core) {
      const { branch } = unwrap(await core.createBranch({ node: null, items: [], metadata: {} }));
      const parent = { kind: "branch", branch } as const;
      const [{ node: first }] = await run(core, ask("My name is Ann.", { parent }));
      const [{ node: second }] = await run(core, ask("What is it?", { parent }));
      const at = { branch, first, second };
      return { act: (now, tenant) => act(now, at, tenant), after: (now) => after(now, at) };
    },
  };
}

/** Of what can be asked for. */
const statuses = async (core: ConversationCore, { branch, first, second }: Pair) =>
  [await core.branch(branch), await core.response(first), await core.response(second)].map((answer) =>
    answer.ok ? answer.value : answer.error.status,
  );

const goOn = (core: ConversationCore, branch: number) =>
  run(core, ask("Why?", { parent: { kind: "branch", branch } })).then((records) => records.map(told));

const scenarios: Record<string, Scenario> = {
  "a turn with a stop string": turnScene(
    () => ({ maxTokens: 40, stop: ["story", "nowhere"], sampling: { ...greedy, logitBias: endless, logprobs: true } }),
    null,
  ),
  "a turn with two choices": turnScene(() => ({ choices: 2, sampling: { ...sampled, logitBias: endless } }), null),
  "a follow-up in segments": turnScene(
    () => ({ maxTokens: 40, sampling: { ...sampled, logitBias: endless } }),
    "Hello.",
    20,
  ),
  "a fork": pairScene(
    async (core, { first }) => {
      unwrap(await core.createBranch({ node: first, items: [], metadata: {} }));
      return [];
    },
    // Asked for twice there may be two forks: each is as good as the other.
    async (core) => {
      const records = await goOn(core, 2);
      return records.map((record) => ({ ...record, branch: 2 }));
    },
  ),
  "a response's deletion": pairScene(
    async (core, { first }) => {
      const answer = await core.deleteResponse(first);
      if (!answer.ok && answer.error.status !== 404) unwrap(answer); // done the first time: gone
      return [];
    },
    (core, { branch }) => goOn(core, branch),
    { isErasure: true },
  ),
  "an item's deletion": pairScene(
    async (core, { branch, first }) => {
      const answer = await core.deleteItem(branch, first, 0);
      if (!answer.ok && answer.error.status !== 404) unwrap(answer);
      return [];
    },
    (core, { branch }) => goOn(core, branch),
    { isErasure: true },
  ),
  "an import": pairScene(
    async (core, { branch }) => {
      const { branch: copy } = unwrap(await core.createBranch({ node: null, items: [], metadata: {} }));
      unwrap(await core.importState(copy, unwrap(await core.exportState(branch))));
      return goOn(core, copy).then((records) => records.map((record) => ({ ...record, branch: null })));
    },
    (core, { branch }) => goOn(core, branch),
  ),
  "a replay in segments of states that were dropped": turnScene(
    () => ({ maxTokens: 8 }),
    "Hello.",
    20,
    (sql) => sql.exec("DELETE FROM checkpoint"),
  ),
  "a replay past a damaged state": turnScene(
    () => ({ maxTokens: 8 }),
    "Hello.",
    1e9,
    (sql) => sql.exec("UPDATE part SET bytes = zeroblob(length(bytes))"),
  ),
  "a replay under other instructions": turnScene(() => ({ instructions: "Rhyme." }), "Hello."),
  "messages that are added": pairScene(
    async (core, { branch }) => {
      const { items } = unwrap(await core.items(branch, { order: "desc", limit: 1 }));
      const item = user("By the way:"); // looked for before it is sent again: nothing else tells one from two of them
      if (items[0].content !== item.content) unwrap(await core.addItems(branch, [item]));
      return [];
    },
    (core, { branch }) => goOn(core, branch),
  ),
  "a conversation's deletion": pairScene(
    async (core, { branch }) => {
      const answer = await core.deleteBranch(branch);
      if (!answer.ok && answer.error.status !== 404) unwrap(answer);
      return [];
    },
    statuses,
    { isForgotten: true },
  ),
  // Once the tenant was told and the instance died, nobody came for what was left: it was readable for ever.
  "the erasure of everything": pairScene(
    async (core, _, tenant) => {
      for (const object of await tenant.objects(null, 10)) {
        await core.destroy();
        await tenant.forget(object);
      }
      return [];
    },
    statuses,
    { isForgotten: true },
  ),
  "a conversation's expiry": {
    clock: 4e12,
    isForgotten: true,
    async prepare(core) {
      await run(core, ask("Hello."));
      return {
        act: async (now) => {
          await now.wake();
          return [];
        },
        after: async () => [],
      };
    },
  },
  "a cancel": pairScene(
    async (core, { first }) => {
      const long = ask("And then?", { parent: node(first), idempotency, maxTokens: 2000 });
      const { responses } = unwrap(await core.turn(long, { quiet: true }));
      // Where the client heard nothing of the turn, it went on to its end before it could be cancelled.
      return [/^(cancelled|incomplete)$/.test(unwrap(await core.cancel(responses[0].node)).status)];
    },
    (core, { branch }) => goOn(core, branch),
  ),
  "an export": pairScene(
    async (core, { branch }) => [await digest(await bytesOf(unwrap(await core.exportState(branch))))],
    (core, { branch }) => goOn(core, branch),
  ),
  "an export of states that were dropped": pairScene(
    async (core, { branch }) => [await digest(await bytesOf(unwrap(await core.exportState(branch))))],
    (core, { branch }) => goOn(core, branch),
    { damage: (sql) => sql.exec("DELETE FROM checkpoint") },
  ),
  "a wake-up that collects": {
    async prepare(core) {
      const { branch } = unwrap(await core.createBranch({ node: null, items: [], metadata: {} }));
      const parent = { kind: "branch", branch } as const;
      for (let turn = 0; turn < 9; turn++) await run(core, ask("More.", { parent, maxTokens: 2 }));
      return {
        act: async (now) => {
          await now.wake();
          return [];
        },
        after: async (now) => [
          ...(await goOn(now, branch)),
          ...(await run(now, ask("And?", { parent: node(2) }))).map(told),
        ],
      };
    },
  },
};

interface Outcome {
  readonly acted: readonly unknown[];
  readonly after: readonly unknown[];
  /** What the instance that was to fail did, point by point. */
  readonly passed: readonly string[];
  readonly hasFired: boolean;
}

/** A scenario where its middle begins: played again and again from there. */
interface Prepared {
  readonly scenario: Scenario;
  readonly scene: Scene;
  readonly database: DatabaseSync;
  readonly books: DatabaseSync; // the tenant's
}

async function prepare(scenario: Scenario): Promise<Prepared> {
  const [database, books] = [emptyDatabase(), emptyDatabase()];
  const tenant = tenantOn(books, Date.now);
  await tenant.register(OBJECT);
  const object = testObject(nodeSql(database), sourceOf(loaded), { tenant });
  const scene = await scenario.prepare(object.open());
  await object.settled();
  scenario.damage?.(object.sql);
  return { scenario, scene, database, books };
}

const tenantOn = (books: DatabaseSync, now: () => number) =>
  new TenantStore(nodeSql(books), { now, wakeAt: () => undefined });

/** What the tenant knows: all that the object has told it, or nothing. */
async function checkBooks(tenant: TenantStore, sql: Sql, isForgotten: boolean): Promise<void> {
  const { conversations } = await tenant.conversations({ limit: 10, order: "asc" });
  expect(await tenant.objects(null, 10)).toStrictEqual(isForgotten ? [] : [OBJECT]);
  const branches = sql.exec("SELECT id FROM branch ORDER BY id").map(({ id }) => id);
  expect(conversations.map(({ branch }) => branch)).toStrictEqual(branches);
  if (!isForgotten) expect(await tenant.usage()).toStrictEqual(readMeta(sql)?.usage);
}

/** Runs a scenario with a fault in its middle, then on a new instance, as a client sees it. */
async function play({ scenario, scene, ...prepared }: Prepared, fault: Fault | null): Promise<Outcome> {
  const [database, books] = [copyOf(prepared.database), copyOf(prepared.books)];
  const tenant = tenantOn(books, () => object.clock ?? Date.now());
  const object = testObject(nodeSql(database), sourceOf(loaded), { tenant });
  object.segmentTokens = scenario.segmentTokens ?? Number.POSITIVE_INFINITY;
  object.clock = scenario.clock ?? null;
  try {
    const faults = new FaultPoints(fault);
    const opened = attempt(() => object.openWith(faults));
    const first = opened && (await hear(scene.act(opened, tenant), fault, faults.fired));
    if (fault?.kind === "for ever") object.abandon();
    await object.settled();
    if (first && scenario.isErasure) expect(unnamedParts(object.sql)).toStrictEqual([]);
    const problems = checkInvariants(object.sql, loaded);
    expect(problems.filter((problem) => !scenario.tolerated?.test(problem))).toStrictEqual([]);
    const core = object.open();
    if (object.wakeTimes.length > 0) await core.wake(); // else there is no alarm
    const acted = first ?? (await scene.act(core, tenant));
    await object.settled();
    const after = await scene.after(core);
    await object.settled();
    if (object.wakeTimes.length > 0) await core.wake(); // what could not be done before is done now
    expect(checkInvariants(object.sql, loaded)).toStrictEqual([]);
    expect(object.sql.exec("SELECT id FROM node WHERE status = 'in_progress'")).toStrictEqual([]);
    expect(object.forgotten).toBe(scenario.isForgotten ?? false);
    await checkBooks(tenant, object.sql, object.forgotten);
    return { acted, after, passed: faults.passed, hasFired: faults.hasFired };
  } finally {
    database.close();
    books.close();
  }
}

const pause = (milliseconds: number) => new Promise<void>((resolve) => setTimeout(resolve, milliseconds).unref());

/** What a client hears; null where the connection broke. Storage that fails for ever takes the instance along. */
async function hear(reply: Promise<unknown[]>, fault: Fault | null, fired: Promise<void>): Promise<unknown[] | null> {
  const heard = reply.catch(() => null);
  return fault?.kind === "for ever" ? Promise.race([heard, fired.then(() => pause(15)).then(() => null)]) : heard;
}

function attempt<Result>(body: () => Result): Result | null {
  try {
    return body();
  } catch {
    return null;
  }
}

describe.each(Object.keys(scenarios))("%s", (name) => {
  test.each(["for ever", "once"] as const)("something fails at every point, %s", { timeout: 120_000 }, async (kind) => {
    const prepared = await prepare(scenarios[name]);
    const expected = await play(prepared, null);
    const { acted, after } = expected;
    const failed = new Set<string>();
    for (let at = 1; ; at++) {
      const found = await play(prepared, { at, kind });
      if (!found.hasFired) break;
      failed.add(found.passed[at - 1]);
      expect(found, `point ${at}: ${found.passed[at - 1]}`).toMatchObject({ acted, after });
    }
    // Readers look as often as they come by, so the number of points varies, and counting misses some; what is done does not.
    for (const what of new Set(expected.passed)) {
      if (failed.has(what)) continue;
      const found = await play(prepared, { at: what, kind });
      expect(found, what).toMatchObject({ acted, after, hasFired: true });
    }
  });
});
