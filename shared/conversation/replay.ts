/** From which state does a log go on, and with which ids? The nearest sound checkpoint along it, and what lies behind that. */

import type { SavedState } from "../engine.ts";
import { AerieError } from "../errors.ts";
import {
  CheckpointLost,
  type Digest,
  deleteCheckpoint,
  type FoundCheckpoint,
  findCheckpoint,
  loadCheckpoint,
} from "./checkpoints.ts";
import type { LoadedModel } from "./model-source.ts";
import { findLog, type NodeLog } from "./nodes.ts";
import type { Sql } from "./sql.ts";
import { readIds } from "./token-log.ts";

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
    deleteCheckpoint(sql, found.node);
  }
}

/**
 * The ids of the log that ends with a node's, from an absolute position on; fewer where some were deleted. A running node's
 * log ends with its last id.
 */
export function logFrom(sql: Sql, node: number, position: number): number[] {
  const pieces: number[][] = [];
  for (let at: number | null = node; at !== null; ) {
    const log: NodeLog | null = findLog(sql, at);
    if (!log) break;
    const length = log.kept === null ? Number.POSITIVE_INFINITY : log.promptLength + log.kept;
    const from = Math.max(0, position - log.start);
    pieces.unshift([...readIds(sql, at, from, length), ...log.tail.slice(Math.max(0, from - length))]);
    if (log.start <= position) break;
    at = log.logParent;
  }
  return pieces.flat();
}

/** Those up to an absolute position, `end`, which the log is known to reach. */
export function logBetween(sql: Sql, node: number, position: number, end: number): number[] {
  const ids = logFrom(sql, node, position);
  if (position + ids.length !== end) throw new LogLost(node, end - position, ids.length);
  return ids;
}

/** Ids are missing, or there are too many: a state computed from them would not be the conversation's. */
export class LogLost extends AerieError {
  constructor(node: number, expected: number, found: number) {
    super("conversation.log", `the log of response ${node} is damaged: expected ${expected} ids, found ${found}`);
  }
}
