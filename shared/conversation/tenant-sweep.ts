/** What a tenant's object throws away when its alarm rings: a bounded batch of each kind, by one pass over each table. */

import type { Sql } from "./sql.ts";
import { forgetObject } from "./tenant-catalogue.ts";

/** Rows of one kind that one alarm deletes. At 1,000 rows written per second and object, a batch stays far from a limit. */
export const SWEEP_ROWS = 500;

/** Seconds between two alarms that found everything due done. */
export const SWEEP_PAUSE_SECONDS = 3600;

/** Seconds between two alarms while there is more to do than one batch. */
const NEXT_BATCH_SECONDS = 1;

/** A conversation is forgotten this long after it expired: a note of its last turn may still be on its way. */
export const EXPIRY_GRACE_SECONDS = 3600;

/** For this long a forgotten conversation's row is kept. */
export const TOMBSTONE_SECONDS = 24 * 3600;

export interface SweepResult {
  /** When the next sweep has something to do, in seconds since 1970; null: nothing in here ever ends. */
  readonly nextAt: number | null;
}

export function sweepTenant(sql: Sql, nowSeconds: number): SweepResult {
  const deletions = [
    deleteBatch(sql, "prefixes", "hash", nowSeconds),
    deleteBatch(sql, "claims", "key", nowSeconds),
    forgetExpired(sql, nowSeconds),
    buryForgotten(sql, nowSeconds),
  ];
  if (deletions.some((count) => count >= SWEEP_ROWS)) return { nextAt: nowSeconds + NEXT_BATCH_SECONDS };
  const [{ due }] = sql.exec(
    `SELECT MIN(due) AS due FROM (
       SELECT MIN(expires_at) AS due FROM prefixes
       UNION ALL SELECT MIN(expires_at) FROM claims
       UNION ALL SELECT MIN(expires_at) + ? FROM catalogue WHERE forgotten_at IS NULL
       UNION ALL SELECT MIN(forgotten_at) + ? FROM catalogue)`,
    EXPIRY_GRACE_SECONDS,
    TOMBSTONE_SECONDS,
  );
  return { nextAt: due === null ? null : Math.max(Number(due), nowSeconds + SWEEP_PAUSE_SECONDS) };
}

function deleteBatch(sql: Sql, table: "prefixes" | "claims", key: "hash" | "key", now: number): number {
  return sql.exec(
    `DELETE FROM ${table} WHERE ${key} IN (SELECT ${key} FROM ${table} WHERE expires_at <= ? LIMIT ${SWEEP_ROWS})
     RETURNING 1 AS gone`,
    now,
  ).length;
}

function forgetExpired(sql: Sql, now: number): number {
  const expired = sql.exec(
    `SELECT object FROM catalogue WHERE forgotten_at IS NULL AND expires_at <= ? LIMIT ${SWEEP_ROWS}`,
    now - EXPIRY_GRACE_SECONDS,
  );
  sql.transaction(() => {
    for (const { object } of expired) forgetObject(sql, String(object), now);
  });
  return expired.length;
}

/** Takes the usage of conversations that were forgotten a while ago into the running total, and their rows away. */
function buryForgotten(sql: Sql, now: number): number {
  return sql.transaction(() => {
    const gone = sql.exec(
      `DELETE FROM catalogue WHERE object IN
         (SELECT object FROM catalogue WHERE forgotten_at <= ? LIMIT ${SWEEP_ROWS})
       RETURNING turns, input_tokens, cached_tokens, output_tokens`,
      now - TOMBSTONE_SECONDS,
    );
    if (gone.length === 0) return 0;
    const sum = (column: string): number => gone.reduce((total, row) => total + Number(row[column]), 0);
    sql.exec(
      `INSERT INTO past_usage VALUES (0, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
         turns = turns + excluded.turns, input_tokens = input_tokens + excluded.input_tokens,
         cached_tokens = cached_tokens + excluded.cached_tokens, output_tokens = output_tokens + excluded.output_tokens`,
      sum("turns"),
      sum("input_tokens"),
      sum("cached_tokens"),
      sum("output_tokens"),
    );
    return gone.length;
  });
}
