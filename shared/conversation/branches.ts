/** Named lines of responses and their messages: what the API calls conversations and items. */

import { eraseItem, eraseNodes } from "./erase.ts";
import { changeMeta, ensureMeta } from "./meta.ts";
import { findNode, idsUp, insertNode, type Node, nextNodeId, pathUp } from "./nodes.ts";
import { RefusedError } from "./refusal.ts";
import { checkTexts } from "./row-size.ts";
import type { Sql, SqlRow } from "./sql.ts";
import type { BranchRecord, ConversationItem, InputItem, ItemPage, ItemQuery } from "./types.ts";

type Metadata = Readonly<Record<string, string>>;

/**
 * Lines of one object. All of them are told to the tenant in each note and lie in one row of its catalogue, 25 bytes each,
 * with a thousand of those that were deleted.
 */
export const MAX_BRANCHES = 10_000;

/** Texts in a page, but for its first item: a page crosses an RPC boundary, which takes 32 MiB, and is one reply. */
const MAX_PAGE_BYTES = 4 * 2 ** 20;

export interface BranchHost {
  readonly tenant: string;
  readonly sql: Sql;
  now(): number;
}

export class BranchOperations {
  readonly #host: BranchHost;
  readonly #sql: Sql;
  /** Resolves once nothing runs at a node; refuses if that takes too long. */
  readonly #idle: (node: number) => Promise<void>;

  constructor(host: BranchHost, idle: (node: number) => Promise<void>) {
    this.#host = host;
    this.#sql = host.sql;
    this.#idle = idle;
  }

  /** Refuses with 404 where there is none. */
  find(branch: number): BranchRecord {
    const [row] = this.#sql.exec("SELECT * FROM branch WHERE id = ?", branch);
    if (!row) throw new RefusedError(404, "conversation_not_found", "there is no such conversation");
    return toBranch(row);
  }

  list(): { branch: number; createdAt: number }[] {
    return this.#sql
      .exec("SELECT id, created_at FROM branch ORDER BY id")
      .map((row) => ({ branch: row.id as number, createdAt: row.created_at as number }));
  }

  create(options: { node: number | null; items: readonly InputItem[]; metadata: Metadata }): BranchRecord {
    const { node, items, metadata } = options;
    return this.#sql.transaction(() => {
      const now = this.#seconds();
      const start = node === null ? null : findNode(this.#sql, node);
      if (node !== null && (!start || start.status === "erased"))
        throw new RefusedError(404, "response_not_found", "there is no such response to start the conversation at");
      if (this.#sql.exec("SELECT id FROM branch LIMIT 1 OFFSET ?", MAX_BRANCHES - 1).length > 0)
        throw new RefusedError(
          409,
          "too_many_forks",
          `the conversation was forked ${MAX_BRANCHES} times, the most there is room for: delete some, or begin anew`,
        );
      const head = items.length > 0 ? this.#insertItems(null, start, items, now) : node;
      const [row] = this.#sql.exec(
        "INSERT INTO branch (created_at, head, metadata) VALUES (?, ?, ?) RETURNING *",
        now,
        head,
        JSON.stringify(metadata),
      );
      const branch = toBranch(row);
      if (head !== node) this.#sql.exec("UPDATE node SET branch = ? WHERE id = ?", branch.branch, head);
      this.#touch();
      return branch;
    });
  }

  update(branch: number, metadata: Metadata): BranchRecord {
    return this.#sql.transaction(() => {
      this.find(branch);
      this.#sql.exec("UPDATE branch SET metadata = ? WHERE id = ?", JSON.stringify(metadata), branch);
      this.#touch();
      return this.find(branch);
    });
  }

  /** `from` is the head that the caller saw. Within a transaction. */
  moveHead(branch: number, from: number | null, to: number): BranchRecord {
    if (this.find(branch).head !== from) throw moved();
    this.#sql.exec("UPDATE branch SET head = ? WHERE id = ?", to, branch);
    this.#touch();
    return this.find(branch);
  }

  /** Erases what only this line needs. `head` is the one that the caller saw; nothing runs there. true: nothing is left in the object. */
  delete(branch: number, head: number | null): boolean {
    return this.#sql.transaction(() => {
      if (this.find(branch).head !== head) throw moved();
      this.#sql.exec("DELETE FROM branch WHERE id = ?", branch);
      const heads = new Set(this.#sql.exec("SELECT head FROM branch").map((row) => row.head as number | null));
      eraseNodes(this.#sql, this.#unneeded(this.#line(branch, head), heads));
      this.#touch();
      const [{ left }] = this.#sql.exec("SELECT COUNT(*) AS left FROM node WHERE status <> 'erased'");
      const isEmpty = heads.size === 0 && left === 0;
      if (isEmpty) changeMeta(this.#sql, this.#host.now(), { keep: "nothing" });
      return isEmpty;
    });
  }

  /** The nodes of a line: those before its head, and those that an import took out of its sight. */
  #line(branch: number, head: number | null): Set<number> {
    const nodes = new Set(idsUp(this.#sql, head));
    for (const { id } of this.#sql.exec("SELECT id FROM node WHERE branch = ?", branch)) nodes.add(id as number);
    return nodes;
  }

  /** Those nodes of a line that no other line ends at and nothing that stays goes on from. */
  #unneeded(line: ReadonlySet<number>, heads: ReadonlySet<number | null>): number[] {
    const continued = new Set<number | null>();
    const unneeded: number[] = [];
    // Children have higher numbers than their parents.
    for (const row of this.#sql.exec("SELECT id, parent, status FROM node ORDER BY id DESC")) {
      const id = row.id as number;
      const isErased = row.status === "erased";
      const isNeeded = heads.has(id) || continued.has(id) || (!isErased && !line.has(id));
      if (isNeeded) continued.add(row.parent as number | null);
      else if (!isErased) unneeded.push(id);
    }
    return unneeded;
  }

  items(branch: number, query: ItemQuery): ItemPage {
    const { head } = this.find(branch);
    return head === null ? { items: [], hasMore: false } : this.page(head, query, true);
  }

  item(branch: number, node: number, index: number): ConversationItem {
    const found = this.#nodeOf(branch, node);
    const item = itemsOf(found, true).find((one) => one.index === index);
    if (!item) throw noItem();
    return item;
  }

  async add(branch: number, items: readonly InputItem[]): Promise<ConversationItem[]> {
    const { head } = this.find(branch);
    if (head !== null) await this.#idle(head);
    return this.#sql.transaction(() => {
      if (this.find(branch).head !== head) throw moved();
      const now = this.#seconds();
      const id = this.#insertItems(branch, head === null ? null : findNode(this.#sql, head), items, now);
      this.#sql.exec("UPDATE branch SET head = ? WHERE id = ?", id, branch);
      this.#touch();
      return itemsOf(findNode(this.#sql, id) as Node, true);
    });
  }

  /** Nothing runs at the node or behind it. */
  deleteItem(branch: number, node: number, index: number): BranchRecord {
    return this.#sql.transaction(() => {
      this.item(branch, node, index);
      this.checkOwned(branch, node);
      eraseItem(this.#sql, this.#nodeOf(branch, node), index);
      this.#touch();
      return this.find(branch);
    });
  }

  /** Refuses where another line goes through a node: what is erased there would be gone from that line too. */
  checkOwned(branch: number, node: number): void {
    // Parents have lower numbers, so what is below the node need not be looked at.
    const [shared] = this.#sql.exec(
      `WITH RECURSIVE line(id, parent) AS (
         SELECT n.id, n.parent FROM branch b JOIN node n ON n.id = b.head WHERE b.id <> ? AND n.id >= ?
         UNION SELECT n.id, n.parent FROM line JOIN node n ON n.id = line.parent WHERE n.id >= ?)
       SELECT 1 FROM line WHERE id = ? LIMIT 1`,
      branch,
      node,
      node,
      node,
    );
    if (shared)
      throw new RefusedError(
        409,
        "item_shared",
        "the message belongs to another conversation too, by a fork: delete that conversation first, or erase the message's response from all of them with DELETE /v1/responses/{response_id}",
      );
  }

  /** The messages from the root to a node, `withReply` to its own reply too. */
  page(head: number, { order, limit, after }: ItemQuery, withReply: boolean): ItemPage {
    const items: ConversationItem[] = [];
    let isPast = after === undefined;
    let bytes = 0;
    for (const item of itemsAlong(this.#sql, head, order, withReply)) {
      if (!isPast) {
        isPast = item.node === after?.node && item.index === after.index;
        continue;
      }
      bytes += 3 * item.content.length; // UTF-8 at most
      if (items.length === limit || (items.length > 0 && bytes > MAX_PAGE_BYTES)) return { items, hasMore: true };
      items.push(item);
    }
    if (!isPast) throw new RefusedError(404, "item_not_found", "after: there is no such item", { param: "after" });
    return { items, hasMore: false };
  }

  #nodeOf(branch: number, id: number): Node {
    const { head } = this.find(branch);
    for (const node of pathUp(this.#sql, head)) if (node.id === id) return node;
    throw noItem();
  }

  #insertItems(branch: number | null, parent: Node | null, items: readonly InputItem[], now: number): number {
    checkTexts([parent?.instructions ?? null, JSON.stringify(items)]);
    const id = nextNodeId(this.#sql);
    insertNode(this.#sql, {
      id,
      parent: parent?.id ?? null,
      branch,
      status: "items",
      createdAt: now,
      instructions: parent?.instructions ?? null,
      system: "",
      input: items,
    });
    return id;
  }

  #touch(): void {
    const now = this.#host.now();
    ensureMeta(this.#sql, this.#host.tenant, now);
    changeMeta(this.#sql, now, { keep: "stored" });
  }

  #seconds(): number {
    return Math.floor(this.#host.now() / 1000);
  }
}

/** From the root to a node or back. One node's texts are in memory at a time: all of them may be more than there is. */
function* itemsAlong(
  sql: Sql,
  head: number,
  order: ItemQuery["order"],
  withReply: boolean,
): Generator<ConversationItem> {
  const said = (node: Node) => itemsOf(node, withReply || node.id !== head);
  if (order === "desc") {
    for (const node of pathUp(sql, head)) yield* said(node).reverse();
    return;
  }
  for (const id of [...idsUp(sql, head)].reverse()) {
    const node = findNode(sql, id);
    if (node) yield* said(node);
  }
}

function toBranch(row: SqlRow): BranchRecord {
  return {
    branch: row.id as number,
    createdAt: row.created_at as number,
    head: row.head as number | null,
    metadata: JSON.parse(row.metadata as string) as Metadata,
  };
}

/** A node's own messages, `withReply` its reply too. */
export function itemsOf(node: Node, withReply: boolean): ConversationItem[] {
  const items: ConversationItem[] = [];
  for (const [index, item] of node.input.entries())
    if (item) items.push({ node: node.id, index, ...item, status: "completed" });
  if (withReply && node.request && node.status !== "failed") {
    const status =
      node.status === "in_progress" ? "in_progress" : node.status === "completed" ? "completed" : "incomplete";
    items.push({ node: node.id, index: -1, role: "assistant", content: node.output ?? "", status });
  }
  return items;
}

function noItem(): RefusedError {
  return new RefusedError(404, "item_not_found", "there is no such item in the conversation");
}

function moved(): RefusedError {
  return new RefusedError(409, "conversation_busy", "the conversation has just moved on: look at it again", {
    retryAfterSeconds: 1,
  });
}
