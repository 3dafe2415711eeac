/** Checkpoints: states of the token log at some positions, in rows that nodes share. */

import type { SavedState } from "../engine.ts";
import { AerieError } from "../errors.ts";
import type { StateLayout } from "../model/state-layout.ts";
import { readMeta } from "./meta.ts";
import { droppable } from "./retention.ts";
import { packNumbers, type Sql, type SqlRow, unpackNumbers } from "./sql.ts";
import { cutRecurrent, cutSegment, pasteSegment, planSegments, ringShape, type Segment } from "./state-parts.ts";

export type Digest = (bytes: Uint8Array) => Promise<string>;

/** A segment that lies in a row. */
export interface StoredSegment extends Segment {
  readonly part: number;
}

/** Where a state came from: what its successors can share. */
export interface Basis {
  readonly segments: readonly StoredSegment[];
}

export const NO_BASIS: Basis = { segments: [] };

/** A state cut into parts and hashed, ready to be written in one transaction. */
export interface PreparedCheckpoint {
  readonly position: number;
  readonly keep: readonly StoredSegment[];
  readonly cut: readonly { readonly segment: Segment; readonly bytes: Uint8Array; readonly sha256: string }[];
  readonly recurrent: readonly { readonly bytes: Uint8Array; readonly sha256: string }[];
}

/** Hashes come before the transaction that writes them: WebCrypto is async, transactions are not. */
export async function prepareCheckpoint(
  layout: StateLayout,
  saved: SavedState,
  basis: Basis,
  digest: Digest,
): Promise<PreparedCheckpoint> {
  const shape = ringShape(layout);
  const { keep, cut } = planSegments(shape, saved.position, basis.segments);
  const hashed = async (bytes: Uint8Array) => ({ bytes, sha256: await digest(bytes) });
  return {
    position: saved.position,
    keep,
    cut: await Promise.all(
      cut.map(async (segment) => ({ segment, ...(await hashed(cutSegment(shape, saved.bytes, segment))) })),
    ),
    recurrent: await Promise.all(cutRecurrent(layout, saved.bytes).map(hashed)),
  };
}

/** To be called within a transaction. Replaces the node's earlier checkpoint. */
export function writeCheckpoint(
  sql: Sql,
  node: number,
  digest: string,
  prepared: PreparedCheckpoint,
  options: { readonly pinned?: boolean } = {},
): Basis {
  if (findCheckpoint(sql, node)) {
    deleteCheckpoint(sql, node);
    collectSoon(sql);
  }
  const insert = (bytes: Uint8Array, sha256: string): number =>
    sql.exec("INSERT INTO part (sha256, bytes) VALUES (?, ?) RETURNING id", sha256, bytes)[0].id as number;
  const recurrent = prepared.recurrent.map(({ bytes, sha256 }) => insert(bytes, sha256));
  const segments: StoredSegment[] = [
    ...prepared.keep,
    ...prepared.cut.map(({ segment, bytes, sha256 }) => ({ ...segment, part: insert(bytes, sha256) })),
  ];
  sql.exec(
    "INSERT INTO checkpoint (node, position, digest, recurrent, segments, pinned) VALUES (?, ?, ?, ?, ?, ?)",
    node,
    prepared.position,
    digest,
    packNumbers(recurrent),
    packNumbers(segments.flatMap(({ start, positions, part }) => [start, positions, part])),
    options.pinned ? 1 : 0,
  );
  return { segments };
}

export interface FoundCheckpoint {
  readonly node: number;
  readonly position: number;
  readonly digest: string;
  readonly pinned: boolean;
  readonly recurrent: readonly number[];
  readonly segments: readonly StoredSegment[];
}

export function findCheckpoint(sql: Sql, node: number): FoundCheckpoint | null {
  const [row] = sql.exec("SELECT * FROM checkpoint WHERE node = ?", node);
  return row ? fromRow(row) : null;
}

function fromRow(row: SqlRow): FoundCheckpoint {
  const numbers = unpackNumbers(row.segments);
  const segments = Array.from({ length: numbers.length / 3 }, (_, at) => {
    const [start, positions, part] = numbers.slice(3 * at);
    return { start, positions, part };
  });
  return {
    node: row.node as number,
    position: row.position as number,
    digest: row.digest as string,
    pinned: row.pinned === 1,
    recurrent: unpackNumbers(row.recurrent),
    segments,
  };
}

/** null where a part is missing or is not what was written: the caller replays the log instead. */
export async function loadCheckpoint(
  sql: Sql,
  found: FoundCheckpoint,
  layout: StateLayout,
  digest: Digest,
): Promise<SavedState | null> {
  const shape = ringShape(layout);
  const bytes = new Uint8Array(layout.bytes);
  let at = 0;
  for (const part of found.recurrent) {
    const piece = await readPart(sql, part, digest);
    if (!piece || at + piece.length > layout.recurrentBytes) return null;
    bytes.set(piece, at);
    at += piece.length;
  }
  if (at !== layout.recurrentBytes) return null;
  for (const segment of found.segments) {
    const piece = await readPart(sql, segment.part, digest);
    if (piece?.length !== segment.positions * shape.bytesPerPosition) return null;
    pasteSegment(shape, bytes, found.position, segment, piece);
  }
  return { position: found.position, bytes };
}

async function readPart(sql: Sql, part: number, digest: Digest): Promise<Uint8Array | null> {
  const [row] = sql.exec("SELECT sha256, bytes FROM part WHERE id = ?", part);
  if (!row) return null;
  const bytes = row.bytes as Uint8Array;
  return (await digest(bytes)) === row.sha256 ? bytes : null;
}

/** Its recurrent part belongs to it alone; segments may be shared, and stay. */
export function deleteCheckpoint(sql: Sql, node: number): void {
  const found = findCheckpoint(sql, node);
  sql.exec("DELETE FROM checkpoint WHERE node = ?", node);
  for (const part of found?.recurrent ?? []) sql.exec("DELETE FROM part WHERE id = ?", part);
}

/** Checkpoints of turns after which all of them are read for those that can go: about half of these can. */
const COLLECT_EVERY = 8;

/** There may be parts that no checkpoint names, or checkpoints that no turn wrote: the next wake-up looks. */
export function collectSoon(sql: Sql): void {
  sql.exec("UPDATE meta SET uncollected = uncollected + ?", COLLECT_EVERY);
}

/** Drops what the policy does not keep, and its parts, where there may be enough of it. Within a transaction, and not while a turn runs. */
export function collectCheckpoints(sql: Sql): void {
  if ((readMeta(sql)?.uncollected ?? 0) < COLLECT_EVERY) return;
  const kept = new Map(allCheckpoints(sql).map((found) => [found.node, found]));
  for (const node of droppable([...kept.values()])) {
    deleteCheckpoint(sql, node);
    kept.delete(node);
  }
  collectParts(sql, [...kept.values()]);
  sql.exec("UPDATE meta SET uncollected = 0");
}

/** Deletes every part that no checkpoint names. Within a transaction. */
export function collectParts(sql: Sql, kept: readonly FoundCheckpoint[] = allCheckpoints(sql)): void {
  const named = new Set(kept.flatMap(({ recurrent, segments }) => [...recurrent, ...segments.map(({ part }) => part)]));
  for (const { id } of sql.exec("SELECT id FROM part")) {
    if (!named.has(id as number)) sql.exec("DELETE FROM part WHERE id = ?", id);
  }
}

const allCheckpoints = (sql: Sql): FoundCheckpoint[] => sql.exec("SELECT * FROM checkpoint").map(fromRow);

/** A checkpoint that can't be read any more, and can't be rebuilt. */
export class CheckpointLost extends AerieError {
  constructor(node: number) {
    super("conversation.checkpoint", `the checkpoint of response ${node} is damaged and has no log to be rebuilt from`);
  }
}
