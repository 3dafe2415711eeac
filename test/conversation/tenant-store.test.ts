/** The tenant's store on Node's SQLite. */

import { DatabaseSync } from "node:sqlite";
import { nodeSql } from "../../cli/node-sql.ts";
import { tenantStoreSuite } from "./tenant-store.suite.ts";

tenantStoreSuite(async (body) => {
  const database = new DatabaseSync(":memory:");
  try {
    await body(nodeSql(database));
  } finally {
    database.close();
  }
});
