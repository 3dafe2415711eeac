/** Rows of the tree as values. */

import { packNumbers, type Sql, type SqlRow, type SqlValue, unpackNumbers } from "./sql.ts";
import { fromBytes } from "./token-log.ts";
import type { InputItem, ResponseRecord, ResponseStatus, TurnRequest, Usage } from "./types.ts";

/** A turn's request as it is kept: everything but what has a column of its own. */
export type StoredRequest = Omit<TurnRequest, "parent" | "instructions" | "input" | "idempotency" | "choices">;

export function storedOf(request: TurnRequest): StoredRequest {
  const { parent: _, instructions: __, input: ___, idempotency: ____, choices: _____, ...stored } = request;
  return stored;
}

/** Where a node's tokens lie in the log of its conversation. */
export interface NodeLog {
  readonly digest: string;
  readonly logParent: number | null;
  readonly start: number;
  readonly promptLength: number;
  /** null while the reply is being generated. */
  readonly kept: number | null;
  readonly tail: readonly number[];
  /** Something before it was deleted: it says what was generated, but can't be continued. */
  readonly isCut: boolean;
}

export interface Node {
  readonly id: number;
  readonly parent: number | null;
  readonly branch: number | null;
  /** `items`: messages without a reply; `erased`: a tombstone. */
  readonly status: ResponseStatus | "items" | "erased";
  readonly createdAt: number;
  readonly completedAt: number | null;
  readonly request: StoredRequest | null;
  readonly instructions: string | null;
  readonly system: string;
  /** A deleted item is null. */
  readonly input: readonly (InputItem | null)[];
  readonly output: string | null;
  readonly finish: "stop" | "length" | null;
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly usage: Usage | null;
  /** null: messages only, or their tokens were erased. */
  readonly log: NodeLog | null;
  readonly choice: number;
  readonly processed: number;
  readonly epoch: number;
  readonly attempts: number;
}

export function findNode(sql: Sql, id: number): Node | null {
  const [row] = sql.exec("SELECT * FROM node WHERE id = ?", id);
  return row ? fromRow(row) : null;
}

/** Without reading the node's texts. */
export function findLog(sql: Sql, id: number): NodeLog | null {
  const [row] = sql.exec("SELECT digest, log_parent, start, prompt_length, kept, tail, cut FROM node WHERE id = ?", id);
  return row ? logFromRow(row) : null;
}

/** From a node up to its root, the node first. */
export function* pathUp(sql: Sql, id: number | null): Generator<Node> {
  for (let at = id; at !== null; ) {
    const node = findNode(sql, at);
    if (!node) return;
    yield node;
    at = node.parent;
  }
}

/** The same without reading anything but ids: all the texts of a path may be more than memory holds. */
export function* idsUp(sql: Sql, id: number | null): Generator<number> {
  for (let at = id; at !== null; ) {
    const [row] = sql.exec("SELECT parent FROM node WHERE id = ?", at);
    if (!row) return;
    yield at;
    at = row.parent as number | null;
  }
}

export function nextNodeId(sql: Sql): number {
  // Ids are never used again: a deleted response's must not come to name another.
  const [row] = sql.exec("SELECT MAX(id) AS last FROM node");
  return ((row.last as number | null) ?? 0) + 1;
}

/** The fencing token of the instance that begins a node. */
export const FIRST_EPOCH = 1;

export type NewNode = Pick<Node, "id" | "parent" | "branch" | "status" | "createdAt" | "system" | "input"> &
  Partial<Omit<Node, "id" | "parent" | "branch" | "status" | "createdAt" | "system" | "input">>;

export function insertNode(sql: Sql, node: NewNode): void {
  const { log } = node;
  const columns: Record<string, SqlValue> = {
    id: node.id,
    parent: node.parent,
    branch: node.branch,
    status: node.status,
    created_at: node.createdAt,
    completed_at: node.completedAt ?? null,
    request: node.request ? JSON.stringify(node.request) : null,
    instructions: node.instructions ?? null,
    system: node.system,
    input: JSON.stringify(node.input),
    output: node.output ?? null,
    finish: node.finish ?? null,
    digest: log?.digest ?? null,
    log_parent: log?.logParent ?? null,
    start: log?.start ?? null,
    prompt_length: log?.promptLength ?? null,
    kept: log?.kept ?? null,
    cut: 0,
    choice: node.choice ?? 0,
    processed: 0,
    epoch: node.epoch ?? FIRST_EPOCH,
    attempts: 0,
  };
  const names = Object.keys(columns);
  sql.exec(
    `INSERT INTO node (${names.join(", ")}) VALUES (${names.map(() => "?").join(", ")})`,
    ...Object.values(columns),
  );
}

function fromRow(row: SqlRow): Node {
  const json = <Value>(value: SqlValue): Value | null =>
    value === null ? null : (JSON.parse(value as string) as Value);
  return {
    id: row.id as number,
    parent: row.parent as number | null,
    branch: row.branch as number | null,
    status: row.status as Node["status"],
    createdAt: row.created_at as number,
    completedAt: row.completed_at as number | null,
    request: json<StoredRequest>(row.request),
    instructions: row.instructions as string | null,
    system: row.system as string,
    input: json<(InputItem | null)[]>(row.input) ?? [],
    output: row.output as string | null,
    finish: row.finish as Node["finish"],
    error: json(row.error),
    usage: row.usage === null ? null : unpackUsage(row.usage),
    log: logFromRow(row),
    choice: row.choice as number,
    processed: row.processed as number,
    epoch: row.epoch as number,
    attempts: row.attempts as number,
  };
}

function logFromRow(row: SqlRow): NodeLog | null {
  if (row.digest === null) return null;
  return {
    digest: row.digest as string,
    logParent: row.log_parent as number | null,
    start: row.start as number,
    promptLength: row.prompt_length as number,
    kept: row.kept as number | null,
    tail: row.tail === null ? [] : fromBytes(row.tail as Uint8Array),
    isCut: row.cut === 1,
  };
}

export const packUsage = (usage: Usage): Uint8Array =>
  packNumbers([usage.inputTokens, usage.cachedTokens, usage.outputTokens, usage.processedTokens]);

function unpackUsage(value: SqlValue): Usage {
  const [inputTokens, cachedTokens, outputTokens, processedTokens] = unpackNumbers(value);
  return { inputTokens, cachedTokens, outputTokens, processedTokens };
}

/** Position behind a finished node's last token. */
export function logEnd({ start, promptLength, kept, tail }: NodeLog): number {
  return start + promptLength + (kept ?? 0) + tail.length;
}

export const isFinished = ({ status }: Node): boolean =>
  status === "completed" || status === "incomplete" || status === "cancelled";

/** What callers see of a response; null for what is none. `output` so far is the caller's to know while it runs. */
export function toRecord(node: Node, output: string | null = node.output): ResponseRecord | null {
  const { request, status } = node;
  if (!request || status === "items" || status === "erased") return null;
  return {
    node: node.id,
    parent: node.parent,
    branch: node.branch,
    status,
    createdAt: node.createdAt,
    completedAt: node.completedAt,
    model: request.model,
    modelDigest: node.log?.digest ?? null,
    instructions: node.instructions,
    input: node.input.filter((item) => item !== null),
    output: output ?? "",
    finishReason: node.finish,
    error: node.error,
    usage: node.usage,
    logprobs: null,
    sampling: request.sampling,
    maxTokens: request.maxTokens,
    stop: request.stop,
    metadata: request.metadata,
    stored: request.stored,
    background: request.background,
  };
}
