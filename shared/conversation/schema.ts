/** The tables of a conversation's object. Keys are integers: every further index would cost one more written row. */

import { AerieError } from "../errors.ts";
import type { Sql } from "./sql.ts";

const FORMAT = 1;

const tables = `
  -- One row: the object itself. Totals are over all turns.
  CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    format INTEGER NOT NULL,
    tenant TEXT NOT NULL,        -- whose it is; nobody else is answered
    created_at INTEGER NOT NULL, -- seconds since 1970, as every time here but the next
    updated_at INTEGER NOT NULL, -- milliseconds, and later than the change before: see meta.ts
    expires_at INTEGER,          -- NULL: kept until it is deleted
    note_due INTEGER NOT NULL,   -- changes that the tenant does not know of yet
    running BLOB NOT NULL,       -- the nodes in progress
    turns INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    uncollected INTEGER NOT NULL DEFAULT 8 -- checkpoints since those were dropped that are not kept; more where parts may lie about
  );

  -- The tree of responses. A node without a request holds messages that were added without asking for a reply.
  CREATE TABLE node (
    id INTEGER PRIMARY KEY,
    parent INTEGER,
    branch INTEGER,
    status TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    completed_at INTEGER,
    request TEXT,                -- JSON of the turn's request, without its input
    instructions TEXT,
    system TEXT NOT NULL,        -- all system text that the token log begins with; '' where there is no log
    input TEXT NOT NULL,         -- JSON of its items; a deleted item is null
    output TEXT,
    finish TEXT,
    error TEXT,                  -- JSON
    usage BLOB,                  -- input, cached, output and processed tokens
    -- the token log
    digest TEXT,                 -- of the model whose tokens these are; NULL: no log, it has to be encoded anew
    log_parent INTEGER,          -- whose log this one continues; NULL: it begins at position 0
    start INTEGER,               -- position of its first token
    prompt_length INTEGER,
    kept INTEGER,                -- how many output ids the log keeps; NULL while it runs
    cut INTEGER NOT NULL,        -- 1: something before it was deleted, so the log can't be continued
    tail BLOB,                   -- ids behind the kept ones: what is shown of a token before a stop string
    -- running
    choice INTEGER,
    processed INTEGER NOT NULL,  -- tokens that were processed up to its own checkpoint, in segments before
    epoch INTEGER NOT NULL,      -- fencing token: whoever took the turn over last
    attempts INTEGER NOT NULL    -- take-overs since it last made progress
  );

  -- Token ids, prompt first, then output. id = node · 2²² + index of the first one.
  CREATE TABLE log (
    id INTEGER PRIMARY KEY,
    ids BLOB NOT NULL,           -- u32, little-endian
    logprobs TEXT                -- JSON, one entry per id, where the turn asks for them
  );

  -- The state at one position of a node's log: lists of parts, as packed numbers (sql.ts).
  CREATE TABLE checkpoint (
    node INTEGER PRIMARY KEY,
    position INTEGER NOT NULL,
    digest TEXT NOT NULL,
    recurrent BLOB NOT NULL,     -- part, … in order
    segments BLOB NOT NULL,      -- first position, positions, part, … in order
    pinned INTEGER NOT NULL
  );
  CREATE TABLE part (
    id INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL,
    bytes BLOB NOT NULL
  );

  -- A named line of responses: what the API calls a conversation.
  CREATE TABLE branch (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again: an id of a deleted one must not name another
    created_at INTEGER NOT NULL,
    head INTEGER,
    metadata TEXT NOT NULL
  );

  CREATE TABLE idempotency (
    key TEXT PRIMARY KEY,
    request_hash TEXT NOT NULL,
    nodes TEXT NOT NULL          -- JSON
  ) WITHOUT ROWID;
`;

/** Of the tables; `meta` is about the object itself, the others hold what is in it. */
export const tableNames = [...tables.matchAll(/CREATE TABLE (\w+)/g)].map(([, name]) => name);

/** Makes the tables where there are none, adds what came later; refuses those of another version. */
export function prepareSchema(sql: Sql): void {
  const [found] = sql.exec("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = 'meta'");
  if (!found) {
    const statements = tables.replaceAll(/--[^\n]*/g, "").split(";");
    sql.transaction(() => {
      for (const statement of statements) if (statement.trim() !== "") sql.exec(statement);
    });
    return;
  }
  // Conversations of before came without it; those are looked at at the next wake-up.
  if (!`${found.sql}`.includes("uncollected"))
    sql.exec("ALTER TABLE meta ADD COLUMN uncollected INTEGER NOT NULL DEFAULT 8");
  const meta = sql.exec("SELECT format FROM meta");
  const format = meta[0]?.format ?? FORMAT;
  if (format !== FORMAT)
    throw new AerieError("conversation.format", `the conversation has format ${format}, expected ${FORMAT}`);
}

export { FORMAT as SCHEMA_FORMAT };
