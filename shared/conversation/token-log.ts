/** The token log: which ids each node adds. It is the truth; states can be made from it again. */

import type { Sql } from "./sql.ts";
import type { LogprobRecord } from "./types.ts";

/** Ids per row of a prompt: 256 KiB. */
const ROW_IDS = 2 ** 16;

/** A node has less than this many ids. */
export const MAX_NODE_TOKENS = 2 ** 22;

/** JSON of a row's log-probabilities: 64 tokens with 20 others each take 0.2 MB, with pieces as long as they may be 6 MB. */
const MAX_LOGPROBS_LENGTH = 500_000; // of UTF-16, 1.5 MB of UTF-8 at most

const firstKey = (node: number): number => node * MAX_NODE_TOKENS;

/** Adds ids behind the first `index` ones of a node. `logprobs`, if given, has one entry per id. */
export function appendIds(
  sql: Sql,
  node: number,
  index: number,
  ids: readonly number[],
  logprobs: readonly LogprobRecord[] | null = null,
): void {
  if (!logprobs) {
    appendBytes(sql, node, index, toBytes(ids));
    return;
  }
  for (let at = 0; at < ids.length; at += ROW_IDS) {
    const row = ids.slice(at, at + ROW_IDS);
    const extra = JSON.stringify(logprobs.slice(at, at + ROW_IDS));
    if (extra.length > MAX_LOGPROBS_LENGTH && row.length > 1) {
      const half = at + Math.ceil(row.length / 2);
      appendIds(sql, node, index + at, ids.slice(at, half), logprobs.slice(at, half));
      appendIds(sql, node, index + half, ids.slice(half, at + row.length), logprobs.slice(half, at + row.length));
      continue;
    }
    insertRow(sql, node, index + at, toBytes(row), extra);
  }
}

/** The same for ids as the log has them. */
export function appendBytes(sql: Sql, node: number, index: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += 4 * ROW_IDS)
    insertRow(sql, node, index + at / 4, bytes.subarray(at, at + 4 * ROW_IDS), null);
}

function insertRow(sql: Sql, node: number, index: number, bytes: Uint8Array, logprobs: string | null): void {
  sql.exec("INSERT INTO log (id, ids, logprobs) VALUES (?, ?, ?)", firstKey(node) + index, bytes, logprobs);
}

/** The ids of a node from `index` on, up to `end` (not included). */
export function readIds(sql: Sql, node: number, index = 0, end = MAX_NODE_TOKENS): number[] {
  return readPieces(sql, node, index, end).flatMap(({ bytes }) => fromBytes(bytes));
}

/** The same as the log has them: for each row its first id's index, and its bytes. */
export function readPieces(
  sql: Sql,
  node: number,
  index: number,
  end: number,
): { readonly index: number; readonly bytes: Uint8Array }[] {
  return rowsFrom(sql, node, index, end).map((row) => {
    const first = (row.id as number) - firstKey(node);
    const from = Math.max(index, first);
    const bytes = (row.ids as Uint8Array).subarray(4 * (from - first), 4 * Math.max(0, end - first));
    return { index: from, bytes };
  });
}

/** The log-probabilities of the ids from `index` on, or null if the turn keeps none. */
export function readLogprobs(sql: Sql, node: number, index: number): LogprobRecord[] | null {
  const found: LogprobRecord[] = [];
  for (const row of rowsFrom(sql, node, index)) {
    if (typeof row.logprobs !== "string") continue;
    const first = (row.id as number) - firstKey(node);
    const all = JSON.parse(row.logprobs) as LogprobRecord[];
    found.push(...all.slice(Math.max(0, index - first)));
  }
  return found.length > 0 ? found : null;
}

/** How many ids a node has. Reads the last row only. */
export function countIds(sql: Sql, node: number): number {
  const [last] = sql.exec(
    "SELECT id, length(ids) AS bytes FROM log WHERE id >= ? AND id < ? ORDER BY id DESC LIMIT 1",
    firstKey(node),
    firstKey(node + 1),
  );
  return last ? (last.id as number) - firstKey(node) + (last.bytes as number) / 4 : 0;
}

export function deleteIds(sql: Sql, node: number): void {
  sql.exec("DELETE FROM log WHERE id >= ? AND id < ?", firstKey(node), firstKey(node + 1));
}

/** Only the prompt's ids: prompt and output never share a row. */
export function deletePromptIds(sql: Sql, node: number, promptLength: number): void {
  sql.exec("DELETE FROM log WHERE id >= ? AND id < ?", firstKey(node), firstKey(node) + promptLength);
}

/** The rows that hold a node's ids from `index` up to `end`; the first may begin before it. */
function rowsFrom(sql: Sql, node: number, index: number, end = MAX_NODE_TOKENS) {
  return sql.exec(
    `SELECT id, ids, logprobs FROM log WHERE id < ? AND id >= COALESCE(
       (SELECT id FROM log WHERE id <= ? AND id >= ? ORDER BY id DESC LIMIT 1), ?) ORDER BY id`,
    firstKey(node) + Math.min(end, MAX_NODE_TOKENS),
    firstKey(node) + index,
    firstKey(node),
    firstKey(node),
  );
}

export function toBytes(ids: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * ids.length);
  const view = new DataView(bytes.buffer);
  for (const [at, id] of ids.entries()) view.setUint32(4 * at, id, true);
  return bytes;
}

export function fromBytes(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.byteLength / 4 }, (_, at) => view.getUint32(4 * at, true));
}
