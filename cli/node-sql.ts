/** The conversation core's database on Node's own SQLite. */

import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Sql, SqlRow } from "../shared/conversation/sql.ts";

export function nodeSql(database: DatabaseSync): Sql {
  const statements = new Map<string, StatementSync>();
  function prepared(query: string): StatementSync {
    let statement = statements.get(query);
    if (!statement) {
      statement = database.prepare(query);
      statements.set(query, statement);
    }
    return statement;
  }
  return {
    exec: (query, ...values) => prepared(query).all(...values) as SqlRow[],
    transaction(body) {
      database.exec("BEGIN IMMEDIATE");
      try {
        const result = body();
        database.exec("COMMIT");
        return result;
      } catch (error) {
        database.exec("ROLLBACK");
        throw error;
      }
    },
  };
}
