/** The one row about the object as a whole. */

import { STORED_SECONDS, UNLISTED_SECONDS } from "./retention.ts";
import { SCHEMA_FORMAT } from "./schema.ts";
import { packNumbers, type Sql, unpackNumbers } from "./sql.ts";
import type { UsageTotals } from "./tenant-types.ts";

export interface Meta {
  readonly tenant: string;
  readonly createdAt: number;
  /**
   * Milliseconds since 1970, or one more than before where a clock stands still or goes back: of two changes the later one has
   * the higher number, and the tenant, who may hear of them in any order, can tell.
   */
  readonly updatedAt: number;
  readonly expiresAt: number | null;
  /** Changes that the tenant does not know of yet. */
  readonly noteDue: number;
  /** Nodes that are in progress. Kept here, since looking for them would read the whole tree. */
  readonly running: readonly number[];
  /** Checkpoints written since `collectCheckpoints` looked at all of them. */
  readonly uncollected: number;
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
    running: unpackNumbers(row.running),
    uncollected: row.uncollected as number,
    usage: {
      turns: row.turns as number,
      inputTokens: row.input_tokens as number,
      cachedTokens: row.cached_tokens as number,
      outputTokens: row.output_tokens as number,
    },
  };
}

/** Whose the object is; null: nobody's yet. Also where the tables do not exist. */
export function readTenant(sql: Sql): string | null {
  if (sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'meta'").length === 0) return null;
  return readMeta(sql)?.tenant ?? null;
}

/** Within the transaction that writes first. `now` is in milliseconds since 1970. */
export function ensureMeta(sql: Sql, tenant: string, now: number): void {
  if (readMeta(sql)) return;
  const seconds = Math.floor(now / 1000);
  sql.exec(
    "INSERT INTO meta VALUES (1, ?, ?, ?, ?, ?, 1, ?, 0, 0, 0, 0, 0)",
    SCHEMA_FORMAT,
    tenant,
    seconds,
    now,
    seconds + UNLISTED_SECONDS,
    packNumbers([]),
  );
}

export interface MetaChange {
  /**
   * The object is kept for another day, or for 30 if what changed is stored; while it holds a branch, for good. `nothing`: it
   * holds nothing any more, and expires now.
   */
  readonly keep?: "unlisted" | "stored" | "nothing";
  readonly begun?: readonly number[];
  readonly ended?: readonly number[];
  /** What a response that ended adds to the totals. */
  readonly usage?: UsageTotals;
}

/** Within the transaction that makes the change, at `now` in milliseconds since 1970. One row written, whatever changes. */
export function changeMeta(sql: Sql, now: number, { keep, begun = [], ended = [], usage }: MetaChange): void {
  const meta = readMeta(sql);
  if (!meta) return;
  const running = [...meta.running.filter((node) => !ended.includes(node)), ...begun];
  const seconds = Math.floor(now / 1000);
  const until = seconds + (keep === "stored" ? STORED_SECONDS : UNLISTED_SECONDS);
  const expiresAt = keep === "nothing" ? seconds : keep ? Math.max(meta.expiresAt ?? 0, until) : meta.expiresAt;
  const isListed = sql.exec("SELECT 1 FROM branch LIMIT 1").length > 0;
  sql.exec(
    `UPDATE meta SET updated_at = ?, note_due = note_due + 1, expires_at = ?, running = ?, uncollected = uncollected + ?,
     turns = turns + ?, input_tokens = input_tokens + ?, cached_tokens = cached_tokens + ?, output_tokens = output_tokens + ?`,
    Math.max(meta.updatedAt + 1, now),
    isListed ? null : expiresAt,
    packNumbers(running),
    ended.length,
    usage?.turns ?? 0,
    usage?.inputTokens ?? 0,
    usage?.cachedTokens ?? 0,
    usage?.outputTokens ?? 0,
  );
}
