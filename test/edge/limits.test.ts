/** Limits in a Durable Object's storage, and the row that is refused before SQLite sees it. */

import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { requestTokens } from "../../durable-objects/compute-pace.ts";
import { durableSql } from "../../durable-objects/durable-sql.ts";
import { modelHost } from "../../durable-objects/model-host.ts";
import { MAX_ROW_BYTES, RowTooLarge } from "../../shared/conversation/row-size.ts";
import { PREFILL_SPEED } from "../../shared/conversation/runner.ts";
import { griffin115M } from "../../shared/model/presets.ts";
import { MAX_CHOICES, MAX_JSON_BYTES, MAX_OUTPUT_TOKENS } from "../../shared/protocol/limits.ts";
import { limitsSuite } from "../conversation/limits.suite.ts";

const withStorage = (use: (storage: DurableObjectStorage) => Promise<void> | void) =>
  runInDurableObject(env.CONVERSATIONS.get(env.CONVERSATIONS.newUniqueId()), async (_, { storage }) => use(storage));

limitsSuite({
  name: "a Durable Object",
  load: () => modelHost(env).load("fledgling-4m"),
  withSql: (use) => withStorage((storage) => use(durableSql(storage))),
});

test.each([
  ["one long text", ["x".repeat(MAX_ROW_BYTES + 1), null]],
  ["a text of two bytes a letter", ["é".repeat(MAX_ROW_BYTES / 2 + 1), null]],
  ["one long BLOB", [new Uint8Array(MAX_ROW_BYTES + 1), null]],
  ["two that are too much together", ["x".repeat(MAX_ROW_BYTES / 2), new Uint8Array(MAX_ROW_BYTES / 2 + 1)]],
])("a row of %s is refused by its size and statement, and nothing is written", (_, values) =>
  withStorage((storage) => {
    const sql = durableSql(storage);
    sql.exec("CREATE TABLE t (a TEXT, b BLOB)");
    const write = () => sql.exec("INSERT INTO t VALUES (?, ?)", ...values);
    expect(write).toThrow(RowTooLarge);
    expect(write).toThrow(/^a row may have 1800000 bytes, \d+ were to be written: INSERT INTO t/);
    expect(sql.exec("SELECT * FROM t")).toStrictEqual([]);
    sql.exec("INSERT INTO t VALUES (?, NULL)", "x".repeat(MAX_ROW_BYTES)); // SQLite has room for what is let through
  }),
);

test("the default model may compute whatever one request can ask for, a slower one as much as the platform allows", async () => {
  const { model } = await modelHost(env).load("fledgling-4m");
  const longestPrompt = MAX_JSON_BYTES; // tokens: none is shorter than a byte
  expect(requestTokens(model.config)).toBeGreaterThan(MAX_CHOICES * MAX_OUTPUT_TOKENS + longestPrompt / PREFILL_SPEED);
  expect(requestTokens(griffin115M)).toBeGreaterThan(MAX_OUTPUT_TOKENS);
  expect(requestTokens(griffin115M)).toBeLessThan(MAX_CHOICES * MAX_OUTPUT_TOKENS);
});
