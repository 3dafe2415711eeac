/** The one row about the object as a whole. */

import { STORED_SECONDS, UNLISTED_SECONDS } from "./retention.ts";
import { SCHEMA_FORMAT } from "./schema.ts";
import type { Sql } from "./sql.ts";
import type { UsageTotals } from "./tenant-types.ts";

export interface Meta {
  readonly tenant: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly expiresAt: number | null;
  /** Changes that the tenant does not know of yet. */
  readonly noteDue: number;
  readonly usage: UsageTotals;
}

/** null: nothing was ever written. */
export function readMeta(sql: Sql): Meta | null {
  const [row] = sql.exec("SELECT * FROM meta WHERE id = 1");
  if (!row) return null;
  return {
    tenant: row.tenant as string,
    createdAt: row.created_at as number,
    updatedAt: row.updated_at as number,
    expiresAt: row.expires_at as number | null,
    noteDue: row.note_due as number,
    usage: {
      turns: row.turns as number,
      inputTokens: row.input_tokens as number,
      cachedTokens: row.cached_tokens as number,
      outputTokens: row.output_tokens as number,
    },
  };
}

/** Within the transaction that writes first. */
export function ensureMeta(sql: Sql, tenant: string, now: number): void {
  sql.exec(
    "INSERT OR IGNORE INTO meta VALUES (1, ?, ?, ?, ?, ?, 1, 0, 0, 0, 0)",
    SCHEMA_FORMAT,
    tenant,
    now,
    now,
    now + UNLISTED_SECONDS,
  );
}

/** A turn extends the life of the whole object; a listed conversation in it keeps it until it is deleted. */
export function touchMeta(sql: Sql, now: number, isStored: boolean): void {
  const until = now + (isStored ? STORED_SECONDS : UNLISTED_SECONDS);
  const [{ branches }] = sql.exec("SELECT COUNT(*) AS branches FROM branch");
  sql.exec(
    "UPDATE meta SET updated_at = ?, note_due = note_due + 1, expires_at = CASE WHEN ? > 0 THEN NULL ELSE MAX(COALESCE(expires_at, 0), ?) END",
    now,
    branches,
    until,
  );
}

/** Whose the object is; null: nobody's yet. Also where the tables do not exist. */
export function readTenant(sql: Sql): string | null {
  if (sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'meta'").length === 0) return null;
  return readMeta(sql)?.tenant ?? null;
}
