/** What the objects of a runtime have on disk: looked at in copies, so that nothing is touched. */

import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { nodeSql } from "../../cli/node-sql.ts";
import type { Sql } from "../../shared/conversation/sql.ts";

/** The ids of the objects of a class that exist. */
export function objectIds(persist: string, className: "Conversation" | "Tenant"): string[] {
  const folder = join(persist, "do", `aerie-${className}`);
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder).filter((file) => /^[0-9a-f]{64}\.sqlite$/.test(file));
  return files.map((file) => file.slice(0, 64)).sort();
}

/** Runs `use` on a copy of an object's database, as the next process would find it. */
export function withObjectCopy<Result>(
  persist: string,
  className: "Conversation" | "Tenant",
  id: string,
  use: (sql: Sql) => Result,
): Result {
  const folder = mkdtempSync(join(tmpdir(), "aerie-copy-"));
  try {
    const from = join(persist, "do", `aerie-${className}`, `${id}.sqlite`);
    const to = join(folder, "copy.sqlite");
    for (const suffix of ["", "-wal"]) if (existsSync(from + suffix)) copyFileSync(from + suffix, to + suffix);
    const database = new DatabaseSync(to);
    try {
      return use(nodeSql(database));
    } finally {
      database.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
