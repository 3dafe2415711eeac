/** Conversations on Node's own SQLite, with the small model of the repository. */

import { DatabaseSync, type SQLOutputValue } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { openModel, openTextSide } from "../../cli/model-argument.ts";
import { nodeSql } from "../../cli/node-sql.ts";
import type { LoadedModel, ModelSource } from "../../shared/conversation/model-source.ts";
import { type TestObject, type TestObjectOptions, testObject } from "./fixture.ts";
import { checkInvariants } from "./invariants.ts";
import type { Shell } from "./turns.suite.ts";

export const fledglingFolder = fileURLToPath(new URL("../../models/fledgling-4m", import.meta.url));

/** Its name and digest in tests; what else it is depends on who loads it. */
export const fledgling = { id: "fledgling", digest: "d".repeat(64) };

export async function loadFledgling(): Promise<LoadedModel> {
  const model = await openModel(fledglingFolder, { backend: "wasm", window: "deepmind" });
  return { ...fledgling, model, ...(await openTextSide(fledglingFolder)) };
}

export const emptyDatabase = (): DatabaseSync => new DatabaseSync(":memory:");

/** Every row of every table but SQLite's own: its count of ids comes with the rows. */
export function dumpOf(
  database: DatabaseSync,
): { name: string; sql: string; rows: Record<string, SQLOutputValue>[] }[] {
  const tables = "SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
  return database
    .prepare(tables)
    .all()
    .map((table) => ({
      name: String(table.name),
      sql: String(table.sql),
      rows: database.prepare(`SELECT * FROM ${table.name}`).all(),
    }));
}

export function copyOf(from: DatabaseSync): DatabaseSync {
  const to = emptyDatabase();
  for (const { name, sql, rows } of dumpOf(from)) {
    to.exec(sql);
    for (const row of rows) {
      const values = Object.values(row);
      to.prepare(`INSERT INTO ${name} VALUES (${values.map(() => "?").join(", ")})`).run(...values);
    }
  }
  return to;
}

export const nodeShell: Shell = {
  name: "node:sqlite",
  load: loadFledgling,
  async withSql(use) {
    const database = emptyDatabase();
    try {
      await use(nodeSql(database));
    } finally {
      database.close();
    }
  },
};

/** Uses an object of its own until nothing computes in it any more; what is left is sound. */
export function withObject(
  models: ModelSource,
  use: (object: TestObject) => Promise<void>,
  options?: TestObjectOptions,
): Promise<void> {
  return nodeShell.withSql(async (sql) => {
    const object = testObject(sql, models, options);
    await use(object);
    await object.settled();
    expect(checkInvariants(sql, await models.load(fledgling.id))).toStrictEqual([]);
  });
}
