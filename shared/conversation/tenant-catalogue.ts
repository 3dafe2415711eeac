/** Which conversations a tenant has, in which order they are listed, and what they used. */

import type { Sql, SqlRow } from "./sql.ts";
import type { CatalogueNote, CataloguePage, UsageTotals } from "./tenant-types.ts";

/** A branch as a catalogue row keeps it, listed or not any more: pages go on behind a branch that was deleted meanwhile. */
type BranchEntry = [branch: number, createdAt: number, isListed: 0 | 1];

/** Unlisted branches that a row remembers, the last ones: it would outgrow a row's limit if all were kept. */
const MAX_UNLISTED = 1000;

interface CatalogueRow {
  readonly updatedAt: number;
  readonly expiresAt: number | null;
  readonly forgottenAt: number | null;
  readonly usage: UsageTotals;
  readonly branches: readonly BranchEntry[];
}

const NO_USAGE: UsageTotals = { turns: 0, inputTokens: 0, cachedTokens: 0, outputTokens: 0 };

/** Before anything of it exists. Whatever comes of it says so by a note; what never does is dropped at `expiresAt`. */
export function registerObject(sql: Sql, object: string, expiresAt: number): void {
  const known = readRow(sql, object);
  if (known && known.forgottenAt === null) return;
  writeRow(sql, object, {
    updatedAt: known?.updatedAt ?? 0, // notes from before it was forgotten stay without effect
    expiresAt,
    forgottenAt: null,
    usage: known?.usage ?? NO_USAGE,
    branches: [],
  });
}

/** Totals only grow; whatever else a note says counts unless a newer one was heard. */
export function noteObject(sql: Sql, note: CatalogueNote): void {
  sql.transaction(() => {
    const known = readRow(sql, note.object);
    const usage = known ? largest(known.usage, note.usage) : note.usage;
    const isStale = known && note.updatedAt <= known.updatedAt;
    const next: CatalogueRow = isStale
      ? { ...known, usage }
      : {
          updatedAt: note.updatedAt,
          expiresAt: note.expiresAt,
          forgottenAt: null,
          usage,
          branches: mergeBranches(sql, note, known),
        };
    if (known && JSON.stringify(known) === JSON.stringify(next)) return;
    writeRow(sql, note.object, next);
  });
}

/**
 * Inside a transaction. The row stays as a tombstone, off the lists; notes up to `updatedAt` are those of what is forgotten,
 * and what a later one says lives already began anew.
 */
export function forgetObject(sql: Sql, object: string, now: number, updatedAt = 0): void {
  const known = readRow(sql, object);
  if (!known || (known.forgottenAt !== null && updatedAt <= known.updatedAt)) return;
  const lives = known.expiresAt === null || known.expiresAt > now;
  if (updatedAt > 0 && updatedAt < known.updatedAt && lives) return;
  for (const entry of known.branches) if (entry[2]) unlist(sql, object, entry);
  writeRow(sql, object, {
    ...known,
    updatedAt: Math.max(known.updatedAt, updatedAt),
    forgottenAt: known.forgottenAt ?? now,
    branches: known.branches.map(([branch, at]) => [branch, at, 0]),
  });
}

export function listedPage(
  sql: Sql,
  query: {
    readonly limit: number;
    readonly order: "asc" | "desc";
    readonly after?: { readonly object: string; readonly branch: number };
  },
  now: number,
): CataloguePage {
  const { limit, order, after } = query;
  const cursor = after && positionOf(sql, after.object, after.branch);
  if (after && !cursor) return { conversations: [], hasMore: false };
  const direction = order === "asc" ? "ASC" : "DESC";
  // CROSS JOIN: the order of the pages is the outer loop, and the statement reads no more than a page.
  const rows = sql.exec(
    `SELECT l.created_at, l.object, l.branch FROM listed l CROSS JOIN catalogue c
     WHERE c.object = l.object AND (c.expires_at IS NULL OR c.expires_at > ?)
       ${cursor ? `AND (l.created_at, l.object, l.branch) ${order === "asc" ? ">" : "<"} (?, ?, ?)` : ""}
     ORDER BY l.created_at ${direction}, l.object ${direction}, l.branch ${direction} LIMIT ?`,
    now,
    ...(cursor ? [cursor.createdAt, cursor.object, cursor.branch] : []),
    limit + 1,
  );
  const conversations = rows.slice(0, limit).map((row) => ({
    object: String(row.object),
    branch: Number(row.branch),
    createdAt: Number(row.created_at),
  }));
  return { conversations, hasMore: rows.length > limit };
}

export function knownObjects(sql: Sql, after: string | null, limit: number): string[] {
  return sql
    .exec(
      "SELECT object FROM catalogue WHERE object > ? AND forgotten_at IS NULL ORDER BY object LIMIT ?",
      after ?? "",
      limit,
    )
    .map(({ object }) => String(object));
}

/** Everything ever used: the rows, tombstones among them, and what was added up of those that are gone. */
export function usageTotals(sql: Sql): UsageTotals {
  const columns = "turns, input_tokens, cached_tokens, output_tokens";
  const [row] = sql.exec(
    `SELECT COALESCE(SUM(turns), 0) AS turns, COALESCE(SUM(input_tokens), 0) AS input_tokens,
       COALESCE(SUM(cached_tokens), 0) AS cached_tokens, COALESCE(SUM(output_tokens), 0) AS output_tokens
     FROM (SELECT ${columns} FROM catalogue UNION ALL SELECT ${columns} FROM past_usage)`,
  );
  return toUsage(row);
}

/** Lists what came, unlists what went, and writes no row for a branch that stays. */
function mergeBranches(sql: Sql, note: CatalogueNote, known: CatalogueRow | undefined): BranchEntry[] {
  const entries = new Map(known?.branches.map((entry) => [entry[0], entry]));
  const listed = new Set(note.branches.map(({ branch }) => branch));
  for (const entry of [...entries.values()]) {
    if (listed.has(entry[0]) || !entry[2]) continue;
    unlist(sql, note.object, entry);
    entries.delete(entry[0]); // goes behind those that went before
    entries.set(entry[0], [entry[0], entry[1], 0]);
  }
  for (const { branch, createdAt } of note.branches) {
    const entry = entries.get(branch);
    if (entry?.[2]) continue;
    // A branch keeps the place in the order that it had first.
    const place = entry?.[1] ?? createdAt;
    sql.exec("INSERT INTO listed (created_at, object, branch) VALUES (?, ?, ?)", place, note.object, branch);
    entries.set(branch, [branch, place, 1]);
  }
  const unlisted = [...entries.values()].filter((entry) => !entry[2]);
  for (const [branch] of unlisted.slice(0, -MAX_UNLISTED)) entries.delete(branch);
  return [...entries.values()];
}

function unlist(sql: Sql, object: string, [branch, createdAt]: BranchEntry): void {
  sql.exec("DELETE FROM listed WHERE created_at = ? AND object = ? AND branch = ?", createdAt, object, branch);
}

function positionOf(
  sql: Sql,
  object: string,
  branch: number,
): { createdAt: number; object: string; branch: number } | null {
  const entry = readRow(sql, object)?.branches.find(([name]) => name === branch);
  return entry ? { createdAt: entry[1], object, branch } : null;
}

function readRow(sql: Sql, object: string): CatalogueRow | undefined {
  const [row] = sql.exec("SELECT * FROM catalogue WHERE object = ?", object);
  if (!row) return undefined;
  return {
    updatedAt: Number(row.updated_at),
    expiresAt: row.expires_at === null ? null : Number(row.expires_at),
    forgottenAt: row.forgotten_at === null ? null : Number(row.forgotten_at),
    usage: toUsage(row),
    branches: JSON.parse(String(row.branches)) as BranchEntry[],
  };
}

function writeRow(sql: Sql, object: string, row: CatalogueRow): void {
  const { turns, inputTokens, cachedTokens, outputTokens } = row.usage;
  sql.exec(
    `INSERT OR REPLACE INTO catalogue
       (object, updated_at, expires_at, forgotten_at, turns, input_tokens, cached_tokens, output_tokens, branches)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    object,
    row.updatedAt,
    row.expiresAt,
    row.forgottenAt,
    turns,
    inputTokens,
    cachedTokens,
    outputTokens,
    JSON.stringify(row.branches),
  );
}

function toUsage(row: SqlRow): UsageTotals {
  return {
    turns: Number(row.turns),
    inputTokens: Number(row.input_tokens),
    cachedTokens: Number(row.cached_tokens),
    outputTokens: Number(row.output_tokens),
  };
}

function largest(a: UsageTotals, b: UsageTotals): UsageTotals {
  return {
    turns: Math.max(a.turns, b.turns),
    inputTokens: Math.max(a.inputTokens, b.inputTokens),
    cachedTokens: Math.max(a.cachedTokens, b.cachedTokens),
    outputTokens: Math.max(a.outputTokens, b.outputTokens),
  };
}
