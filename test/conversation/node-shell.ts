/** Conversations on Node's own SQLite, with the small model of the repository. */

import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { openModel, openTextSide } from "../../cli/model-argument.ts";
import { nodeSql } from "../../cli/node-sql.ts";
import type { LoadedModel, ModelSource } from "../../shared/conversation/model-source.ts";
import { type TestObject, testObject } from "./fixture.ts";
import { checkInvariants } from "./invariants.ts";
import type { Shell } from "./turns.suite.ts";

export const fledglingFolder = fileURLToPath(new URL("../../models/fledgling-2m", import.meta.url));

/** Its name and digest in tests; what else it is depends on who loads it. */
export const fledgling = { id: "fledgling", digest: "d".repeat(64) };

export async function loadFledgling(): Promise<LoadedModel> {
  const model = await openModel(fledglingFolder, { backend: "wasm", window: "deepmind" });
  return { ...fledgling, model, ...(await openTextSide(fledglingFolder)) };
}

export const nodeShell: Shell = {
  name: "node:sqlite",
  load: loadFledgling,
  async withSql(use) {
    const database = new DatabaseSync(":memory:");
    try {
      await use(nodeSql(database));
    } finally {
      database.close();
    }
  },
};

/** Uses an object of its own until nothing computes in it any more; what is left is sound. */
export function withObject(models: ModelSource, use: (object: TestObject) => Promise<void>): Promise<void> {
  return nodeShell.withSql(async (sql) => {
    const object = testObject(sql, models);
    await use(object);
    await object.settled();
    expect(checkInvariants(sql, await models.load(fledgling.id))).toStrictEqual([]);
  });
}
