/**
 * The tables of a tenant's object. Rows written are what its storage costs, and every index counts as one more: so each
 * table is its primary key, none has an index besides it, and what is looked for otherwise is found by reading, which
 * costs a thousandth. The prefix index lies in objects of its own, which have the same tables.
 */

import type { Sql } from "./sql.ts";

const TABLES = [
  `CREATE TABLE IF NOT EXISTS keys (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    sha256     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
  ) WITHOUT ROWID`,

  // One row per conversation's object. `branches` is JSON: [branch, created_at, listed 1 or 0] each. A forgotten row
  // stays for a day: late notes find it instead of writing a new one, and a page can go on behind it. `updated_at` is that of
  // the newest note.
  `CREATE TABLE IF NOT EXISTS catalogue (
    object        TEXT PRIMARY KEY,
    updated_at    INTEGER NOT NULL,
    expires_at    INTEGER,
    forgotten_at  INTEGER,
    turns         INTEGER NOT NULL,
    input_tokens  INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    branches      TEXT NOT NULL
  ) WITHOUT ROWID`,

  // The catalogue's listed branches in the order of pages. Written when a branch comes or goes, not per turn.
  `CREATE TABLE IF NOT EXISTS listed (
    created_at INTEGER NOT NULL,
    object     TEXT NOT NULL,
    branch     INTEGER NOT NULL,
    PRIMARY KEY (created_at, object, branch)
  ) WITHOUT ROWID`,

  // One row: the usage of every conversation whose row is gone.
  `CREATE TABLE IF NOT EXISTS past_usage (
    id            INTEGER PRIMARY KEY CHECK (id = 0),
    turns         INTEGER NOT NULL,
    input_tokens  INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL
  )`,

  `CREATE TABLE IF NOT EXISTS claims (
    key          TEXT PRIMARY KEY,
    request_hash TEXT NOT NULL,
    object       TEXT NOT NULL,
    node         INTEGER,
    expires_at   INTEGER NOT NULL
  ) WITHOUT ROWID`,

  `CREATE TABLE IF NOT EXISTS prefixes (
    hash       TEXT PRIMARY KEY,
    object     TEXT NOT NULL,
    node       INTEGER NOT NULL,
    expires_at INTEGER
  ) WITHOUT ROWID`,
];

export function createTenantTables(sql: Sql): void {
  for (const table of TABLES) sql.exec(table);
}
