/** Limits on Node's SQLite, which has none of its own near them. */

import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { openModel, openTextSide } from "../../cli/model-argument.ts";
import { nodeSql } from "../../cli/node-sql.ts";
import { limitsSuite } from "./limits.suite.ts";

const folder = fileURLToPath(new URL("../../models/fledgling-2m", import.meta.url));

limitsSuite({
  name: "node:sqlite",
  async load() {
    const model = await openModel(folder, { backend: "wasm", window: "deepmind" });
    return { id: "fledgling", digest: "d".repeat(64), model, ...(await openTextSide(folder)) };
  },
  async withSql(use) {
    const database = new DatabaseSync(":memory:");
    try {
      await use(nodeSql(database));
    } finally {
      database.close();
    }
  },
});
