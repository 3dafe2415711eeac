/** Limits of rows, messages and pages, crossed on purpose: refused in a sentence before SQLite or the runtime do it their way. */

import { beforeAll, describe, expect, test, vi } from "vitest";
import { MAX_BRANCHES } from "../../shared/conversation/branches.ts";
import { BusyError, type ModelSource, type Needs } from "../../shared/conversation/model-source.ts";
import { PAUSE_SECONDS } from "../../shared/conversation/patience.ts";
import { MAX_ENCODED_BYTES } from "../../shared/conversation/plan.ts";
import { MAX_ROW_BYTES, MAX_TEXT_BYTES } from "../../shared/conversation/row-size.ts";
import type { Sql } from "../../shared/conversation/sql.ts";
import { appendIds, readIds, readLogprobs } from "../../shared/conversation/token-log.ts";
import type { ConversationItem, LogprobRecord, TurnRequest } from "../../shared/conversation/types.ts";
import { finished, request, sourceOf, type TestObject, testObject, unwrap, user } from "./fixture.ts";
import type { Shell } from "./turns.suite.ts";

/** What one message between objects may have; pages stay far below. */
const MAX_MESSAGE_BYTES = 32 * 2 ** 20;

export function limitsSuite(shell: Shell): void {
  let models: ModelSource;
  let model: string;
  beforeAll(async () => {
    const loaded = await shell.load();
    models = sourceOf(loaded);
    model = loaded.id;
  });
  const withObject = (use: (object: TestObject) => Promise<void>) =>
    shell.withSql(async (sql) => {
      const object = testObject(sql, models);
      await use(object);
      await object.settled();
    });
  const newBranch = async (object: TestObject) =>
    unwrap(await object.open().createBranch({ node: null, items: [], metadata: {} })).branch;

  describe(`limits on ${shell.name}`, () => {
    // Instructions lie in their row twice, as themselves and as the system text: a body of 1 MB made a row of 2 MB, and a 500.
    test("instructions that fill a request are refused before anything of the turn exists", () =>
      withObject(async (object) => {
        const instructions = "x".repeat(1_000_000);
        const refused = await object.open().turn(request(model, "Hi", { instructions }), { quiet: true });
        expect(refused).toMatchObject({ ok: false, error: { status: 413, code: "input_too_large", param: "input" } });
        expect(JSON.stringify(refused)).toMatch(/takes 2000\d+ bytes, one turn has room for 1200000/);
        expect(object.sql.exec("SELECT id FROM node")).toStrictEqual([]);
      }));

    // System messages wait in rows of their own; the turn behind them has all of them in one.
    test("system messages that came one by one are refused together", () =>
      withObject(async (object) => {
        const branch = await newBranch(object);
        for (let at = 0; at < 3; at++)
          unwrap(await object.open().addItems(branch, [{ role: "system", content: "and ".repeat(105_000) }]));
        const turn = request(model, "Hi", { parent: { kind: "branch", branch } });
        expect(await object.open().turn(turn, { quiet: true })).toMatchObject({ ok: false, error: { status: 413 } });
      }));

    test("the longest text that is let in is kept whole", () =>
      withObject(async (object) => {
        const branch = await newBranch(object);
        const room = MAX_TEXT_BYTES - JSON.stringify([user("")]).length;
        const items = (length: number) => [user("z".repeat(length))];
        expect(await object.open().addItems(branch, items(room + 1))).toMatchObject({
          ok: false,
          error: { status: 413 },
        });
        unwrap(await object.open().addItems(branch, items(room)));
        const page = unwrap(await object.open().items(branch, { order: "asc", limit: 1 }));
        expect(page.items[0].content.length).toBe(room);
      }));

    const full: BusyError = new BusyError("there is no room", 3);
    /** Turns are planned and not computed; what texts they read is counted. */
    const planning = (sql: Sql) => {
      const read = { bytes: 0 };
      const counting: Sql = {
        exec(query, ...values) {
          const rows = sql.exec(query, ...values);
          for (const row of rows)
            for (const value of Object.values(row)) read.bytes += typeof value === "string" ? value.length : 0;
          return rows;
        },
        transaction: (body) => sql.transaction(body),
      };
      const admit: ModelSource["admit"] = (loaded, needs) => {
        if (needs.bytes === undefined) throw full; // a turn
        return models.admit(loaded, needs);
      };
      return { core: testObject(counting, { ...models, admit }).open(), read };
    };

    // All of it was read and encoded before it was refused for its tokens: 4 MB took what memory an isolate has.
    test("what waits for a reply is refused when it is more than one turn reads, and is not read", () =>
      withObject(async (object) => {
        const branch = await newBranch(object);
        const wait = async (bytes: number) =>
          unwrap(await object.open().addItems(branch, [user("word ".repeat(bytes / 5))]));
        await wait(MAX_ENCODED_BYTES / 2);
        await wait(MAX_ENCODED_BYTES / 2 - 5);
        const { core, read } = planning(object.sql);
        const ask = (input: string) =>
          core.turn(request(model, input, { parent: { kind: "branch", branch } }), { quiet: true });
        expect(await ask("Hello")).toMatchObject({ ok: false, error: { status: 429 } }); // as far as its computation
        expect(await ask("Hello!")).toMatchObject({
          ok: false,
          error: { status: 413, code: "input_too_large", message: expect.stringContaining("more than 1500000 bytes") },
        });
        for (let at = 0; at < 10; at++) await wait(1_000_000);
        read.bytes = 0;
        expect(await ask("Hello")).toMatchObject({ ok: false, error: { status: 413 } });
        expect(read.bytes).toBeLessThan(4 * MAX_ENCODED_BYTES);
      }));

    test("a conversation that is too long to be read anew goes on, but not under other instructions", () =>
      withObject(async (object) => {
        const branch = await newBranch(object);
        const parent = { kind: "branch", branch } as const;
        for (let at = 0; at < 12; at++)
          await finished(await object.open().turn(request(model, "Hi", { parent, maxTokens: 2 }), { quiet: true }));
        const long = JSON.stringify([user("z".repeat(MAX_ENCODED_BYTES / 2))]);
        for (let at = 1; at <= 12; at++) object.sql.exec("UPDATE node SET input = ? WHERE id = ?", long, at);
        const { core, read } = planning(object.sql);
        const under = async (options: Partial<TurnRequest>) => {
          const answer = await core.turn(request(model, "Why?", { parent, ...options }), { quiet: true });
          return answer.ok ? null : answer.error;
        };
        expect(await under({})).toMatchObject({ status: 429 });
        read.bytes = 0;
        expect(await under({ instructions: "Rhyme." })).toMatchObject({ status: 413, code: "input_too_large" });
        expect(read.bytes).toBeLessThan(4 * MAX_ENCODED_BYTES);
        read.bytes = 0;
        const file = await new Response(unwrap(await core.exportState(branch))).text();
        expect(file).toContain('"log"');
        expect(file).not.toContain('"items"'); // they have no room in it, and are not read to find that out
        expect(read.bytes).toBeLessThan(4 * MAX_ENCODED_BYTES);
      }));

    // A hundred messages of a megabyte are a page of 100 MB: more than a message between objects, or an isolate, holds.
    test.each(["asc", "desc"] as const)("pages of long messages are short, and miss none (%s)", (order) =>
      withObject(async (object) => {
        const branch = await newBranch(object);
        const count = 12;
        for (let at = 0; at < count; at++)
          unwrap(await object.open().addItems(branch, [user(`${at} ${"w".repeat(900_000)}`)]));
        const found: ConversationItem[] = [];
        for (let hasMore = true; hasMore; ) {
          const after = found.at(-1);
          const page = unwrap(await object.open().items(branch, { order, limit: 100, ...(after && { after }) }));
          expect(JSON.stringify(page).length).toBeLessThan(MAX_MESSAGE_BYTES / 4);
          expect(page.items.length).toBeGreaterThan(0);
          found.push(...page.items);
          hasMore = page.hasMore;
        }
        const numbers = found.map(({ content }) => Number.parseInt(content, 10));
        expect(numbers).toStrictEqual(
          Array.from({ length: count }, (_, at) => (order === "asc" ? at : count - 1 - at)),
        );
      }),
    );

    test("a conversation is not forked without end: the tenant keeps all forks in one row", () =>
      withObject(async (object) => {
        const branch = await newBranch(object);
        const [{ node }] = await finished(
          await object.open().turn(request(model, "Hi", { maxTokens: 2 }), { quiet: true }),
        );
        object.sql.exec(
          `WITH RECURSIVE more (id) AS (SELECT ? UNION ALL SELECT id + 1 FROM more WHERE id < ?)
           INSERT INTO branch (id, created_at, head, metadata) SELECT id, 0, NULL, '{}' FROM more`,
          branch + 1,
          MAX_BRANCHES - 1,
        );
        unwrap(await object.open().createBranch({ node, items: [], metadata: {} }));
        const refused = await object.open().createBranch({ node, items: [], metadata: {} });
        expect(refused).toMatchObject({ ok: false, error: { status: 409, code: "too_many_forks" } });
      }));

    // Only turns were counted: imports of large states at once took what memory there was without asking.
    test("a state is not imported where there is no room for it", () =>
      withObject(async (object) => {
        const [{ node }] = await finished(
          await object.open().turn(request(model, "Hi", { maxTokens: 2 }), { quiet: true }),
        );
        const { branch } = unwrap(await object.open().createBranch({ node, items: [], metadata: {} }));
        const read = async () => unwrap(await object.open().exportState(branch));
        await object.settled();
        let admitted = 0;
        const full: ModelSource = {
          ...models,
          admit: () => {
            admitted++;
            throw new BusyError("there is no room", 3);
          },
        };
        const refused = await testObject(object.sql, full)
          .open()
          .importState(branch, await read());
        expect(refused).toMatchObject({ ok: false, error: { status: 429, retryAfterSeconds: 3 } });
        expect(admitted).toBe(1);
        let left = 0;
        const roomy: ModelSource = {
          ...models,
          admit: (one, needs) => ({ ...models.admit(one, needs), release: () => void left++ }),
        };
        expect(
          await testObject(object.sql, roomy)
            .open()
            .importState(branch, await read()),
        ).toMatchObject({ ok: true });
        expect(left).toBe(1);
      }));

    // They asked for no place at all: forty at once were answered by a full isolate, and held until somebody read them.
    test("a state is exported where there is room for the file, until it was taken", () =>
      withObject(async (object) => {
        const branch = await newBranch(object);
        const parent = { kind: "branch", branch } as const;
        await finished(await object.open().turn(request(model, "Hi", { parent, maxTokens: 2 }), { quiet: true }));
        await object.settled();
        const asked: Needs[] = [];
        let taken = 0;
        const one: ModelSource = {
          ...models,
          admit(loaded, needs) {
            if (taken > 0) throw new BusyError("there is no room", 3);
            asked.push(needs);
            taken++;
            return { ...models.admit(loaded, needs), release: () => void taken-- };
          },
        };
        const core = testObject(object.sql, one).open();
        const file = unwrap(await core.exportState(branch));
        expect(await core.exportState(branch)).toMatchObject({
          ok: false,
          error: { status: 429, retryAfterSeconds: 3 },
        });
        const { byteLength } = await new Response(file).arrayBuffer();
        expect(taken).toBe(0);
        const states = (await models.load(model)).model.stateLayout.bytes;
        expect(asked[0].states).toBeGreaterThan(1);
        expect((asked[0].bytes ?? 0) + states).toBeGreaterThan(byteLength - 1000); // but for its header
        await unwrap(await core.exportState(branch)).cancel();
        expect(taken).toBe(0);

        vi.useFakeTimers();
        try {
          const unread = unwrap(await core.exportState(branch));
          await vi.advanceTimersByTimeAsync(1000 * PAUSE_SECONDS - 1000);
          expect(taken).toBe(1);
          await vi.advanceTimersByTimeAsync(2000);
          expect(taken).toBe(0);
          await expect(new Response(unread).arrayBuffer()).rejects.toThrow("the file was read too slowly");
        } finally {
          vi.useRealTimers();
        }
      }));

    test("a state with a long log asks for the memory that the log takes", () =>
      withObject(async (object) => {
        const branch = await newBranch(object);
        const parent = { kind: "branch", branch } as const;
        const text = "and ".repeat(20_000);
        await finished(await object.open().turn(request(model, text, { parent, maxTokens: 2 }), { quiet: true }));
        await object.settled();
        const asked: Needs[] = [];
        const admit: ModelSource["admit"] = (loaded, needs) => {
          asked.push(needs);
          return models.admit(loaded, needs);
        };
        const core = testObject(object.sql, { ...models, admit }).open();
        const file = await new Response(unwrap(await core.exportState(branch))).arrayBuffer();
        unwrap(await core.importState(await newBranch(object), new Response(file).body as ReadableStream<Uint8Array>));
        expect(asked).toHaveLength(2);
        for (const { bytes } of asked) expect(bytes).toBeGreaterThan(4 * 20_000 + text.length);
      }));

    test("log-probabilities of long pieces are spread over rows that hold them", () =>
      shell.withSql(async (sql) => {
        await testObject(sql, models).open().exportAll(); // makes the tables
        const long = { token: 1, text: "\u0001".repeat(256), bytes: Array<number>(256).fill(255), logprob: -1 };
        const records: LogprobRecord[] = Array.from({ length: 64 }, (_, token) => ({
          ...long,
          token,
          top: Array(20).fill(long),
        }));
        const ids = records.map(({ token }) => token);
        appendIds(sql, 1, 5, ids, records);
        const rows = sql
          .exec("SELECT length(CAST(logprobs AS BLOB)) AS bytes FROM log")
          .map(({ bytes }) => Number(bytes));
        expect(rows.reduce((sum, bytes) => sum + bytes)).toBeGreaterThan(1.5 * MAX_ROW_BYTES);
        expect(Math.max(...rows)).toBeLessThan(MAX_ROW_BYTES);
        expect(readIds(sql, 1, 5)).toStrictEqual(ids);
        expect(readIds(sql, 1, 40, 50)).toStrictEqual(ids.slice(35, 45));
        expect(readLogprobs(sql, 1, 5)).toStrictEqual(records);
        expect(readLogprobs(sql, 1, 44)?.map(({ token }) => token)).toStrictEqual(ids.slice(39));
      }));
  });
}
