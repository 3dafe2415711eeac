/** From which state does a log go on, and with which ids? The nearest sound checkpoint along it, and what lies behind that. */

import type { SavedState } from "../engine.ts";
import { AerieError } from "../errors.ts";
import {
  CheckpointLost,
  collectSoon,
  type Digest,
  deleteCheckpoint,
  type FoundCheckpoint,
  findCheckpoint,
  loadCheckpoint,
} from "./checkpoints.ts";
import type { LoadedModel } from "./model-source.ts";
import { findLog, type NodeLog } from "./nodes.ts";
import type { Sql } from "./sql.ts";
import { fromBytes, readPieces, toBytes } from "./token-log.ts";

/** The nearest checkpoint at or before the end of a node's log, along the logs that it continues. */
function nearestCheckpoint(sql: Sql, node: number, digest: string): FoundCheckpoint | null {
  for (let at: number | null = node; at !== null; ) {
    const found = findCheckpoint(sql, at);
    if (found?.digest === digest) return found;
    at = findLog(sql, at)?.logParent ?? null;
  }
  return null;
}

/**
 * The state that the nearest checkpoint holds; null: the log begins at position 0. A damaged one is dropped for the one
 * before it, since the log can rebuild it, unless it is all there is.
 */
export async function nearestState(
  sql: Sql,
  node: number,
  { digest: modelDigest, model }: LoadedModel,
  digest: Digest,
): Promise<{ readonly found: FoundCheckpoint; readonly saved: SavedState } | null> {
  for (;;) {
    const found = nearestCheckpoint(sql, node, modelDigest);
    if (!found) return null;
    const saved = await loadCheckpoint(sql, found, model.stateLayout, digest);
    if (saved) return { found, saved };
    if (findCheckpoint(sql, found.node)?.recurrent[0] !== found.recurrent[0]) continue; // replaced while it was read
    if (found.pinned) throw new CheckpointLost(found.node);
    collectSoon(sql);
    deleteCheckpoint(sql, found.node);
  }
}

/**
 * The ids of the log that ends with a node's, from an absolute position up to another, 4 bytes each; and how many were found,
 * where all of them should be. Reads and holds no others: a log may have millions.
 */
export function logBytes(
  sql: Sql,
  node: number,
  position: number,
  end: number,
): { readonly bytes: Uint8Array; readonly found: number } {
  const bytes = new Uint8Array(4 * (end - position));
  let found = 0;
  const put = (first: number, ids: Uint8Array) => {
    bytes.set(ids, 4 * (first - position));
    found += ids.length / 4;
  };
  for (let at: number | null = node; at !== null && end > position; ) {
    const log: NodeLog | null = findLog(sql, at);
    if (!log) break;
    const kept = log.kept === null ? Number.POSITIVE_INFINITY : log.promptLength + log.kept; // a running one's ends with its last id
    const [from, to] = [Math.max(0, position - log.start), end - log.start];
    for (const piece of readPieces(sql, at, from, Math.min(kept, to))) put(log.start + piece.index, piece.bytes);
    const tail = log.tail.slice(Math.max(0, from - kept), Math.max(0, to - kept));
    if (tail.length > 0) put(log.start + Math.max(from, kept), toBytes(tail));
    if (log.start <= position) break;
    at = log.logParent;
  }
  return { bytes, found };
}

/** As numbers. The log is known to reach `end`. */
export function logBetween(sql: Sql, node: number, position: number, end: number): number[] {
  const { bytes, found } = logBytes(sql, node, position, end);
  if (found !== end - position) throw new LogLost(node, end - position, found);
  return fromBytes(bytes);
}

/** The last `count` ids before a position; fewer where the log came without its beginning. */
export function idsBefore(sql: Sql, node: number, position: number, count: number): number[] {
  const { bytes, found } = logBytes(sql, node, Math.max(0, position - count), position);
  return fromBytes(bytes.subarray(bytes.length - 4 * found));
}

/** Ids are missing, or there are too many: a state computed from them would not be the conversation's. */
export class LogLost extends AerieError {
  constructor(node: number, expected: number, found: number) {
    super("conversation.log", `the log of response ${node} is damaged: expected ${expected} ids, found ${found}`);
  }
}
