/** The one row about the object as a whole. */

import { STORED_SECONDS, UNLISTED_SECONDS } from "./retention.ts";
import { SCHEMA_FORMAT } from "./schema.ts";
import type { Sql } from "./sql.ts";
import type { UsageTotals } from "./tenant-types.ts";

export interface Meta {
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly expiresAt: number | null;
  /** The tenant does not know of the last change yet. */
  readonly isNoteDue: boolean;
  readonly usage: UsageTotals;
}

/** null: nothing was ever written. */
export function readMeta(sql: Sql): Meta | null {
  const [row] = sql.exec("SELECT * FROM meta WHERE id = 1");
  if (!row) return null;
  return {
    createdAt: row.created_at as number,
    updatedAt: row.updated_at as number,
    expiresAt: row.expires_at as number | null,
    isNoteDue: row.note_due === 1,
    usage: {
      turns: row.turns as number,
      inputTokens: row.input_tokens as number,
      cachedTokens: row.cached_tokens as number,
      outputTokens: row.output_tokens as number,
    },
  };
}

/** Within the transaction that writes first. */
export function ensureMeta(sql: Sql, now: number): void {
  sql.exec(
    "INSERT OR IGNORE INTO meta VALUES (1, ?, ?, ?, ?, 1, 0, 0, 0, 0)",
    SCHEMA_FORMAT,
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
    "UPDATE meta SET updated_at = ?, note_due = 1, expires_at = CASE WHEN ? > 0 THEN NULL ELSE MAX(COALESCE(expires_at, 0), ?) END",
    now,
    branches,
    until,
  );
}
