/** Erasing text, and everything that was computed from it. */

import { collectParts, deleteCheckpoint } from "./checkpoints.ts";
import { findNode, isFinished, type Node, pathUp } from "./nodes.ts";
import { systemOf, systemText, withoutInstructions } from "./prompt.ts";
import { tableNames } from "./schema.ts";
import type { Sql } from "./sql.ts";
import { deleteIds, deletePromptIds } from "./token-log.ts";

/** Leaves tombstones of responses: the tree stays, the text goes. Within a transaction. */
export function eraseNodes(sql: Sql, ids: readonly number[]): void {
  for (const id of ids) {
    sql.exec(
      `UPDATE node SET status = 'erased', request = NULL, input = '[]', output = NULL, error = NULL, digest = NULL,
       tail = NULL WHERE id = ?`,
      id,
    );
    deleteIds(sql, id);
  }
  cutOff(sql, ids);
}

/** Leaves no row but the one about the object. Within a transaction. */
export function eraseEverything(sql: Sql): void {
  for (const table of tableNames) if (table !== "meta") sql.exec(`DELETE FROM ${table}`);
}

/** Takes one message out of a node; `index` −1 is its reply. Within a transaction. */
export function eraseItem(sql: Sql, node: Node, index: number): void {
  if (index === -1) {
    // Without its reply a response is messages only.
    sql.exec(
      "UPDATE node SET status = 'items', request = NULL, output = NULL, digest = NULL, tail = NULL WHERE id = ?",
      node.id,
    );
  } else {
    const input = node.input.map((item, at) => (at === index ? null : item));
    sql.exec("UPDATE node SET input = ?, digest = NULL, tail = NULL WHERE id = ?", JSON.stringify(input), node.id);
  }
  deleteIds(sql, node.id);
  cutOff(sql, [node.id]);
}

/**
 * What was computed from the nodes' text goes with it: their states and those of everything behind them. Texts behind them
 * stay; whoever goes on from there has the conversation encoded again, from what is left of it. Reads each row once.
 */
function cutOff(sql: Sql, ids: readonly number[]): void {
  const changed = new Set(ids);
  const systems = new Map<number, SystemText>();
  // Parents have lower numbers than their children.
  const first = ids.reduce((least, id) => Math.min(least, id), Number.MAX_SAFE_INTEGER);
  for (const row of sql.exec("SELECT id, parent FROM node WHERE id >= ? ORDER BY id", first)) {
    const id = row.id as number;
    const parent = row.parent as number | null;
    const before = parent === null ? NO_SYSTEM : systems.get(parent);
    if (!changed.has(id) && (parent === null || !before)) continue;
    const node = findNode(sql, id) as Node;
    const system = systemBehind(before ?? systemThrough(sql, parent), node);
    systems.set(id, system);
    deleteCheckpoint(sql, id);
    // Where no log is, none begins with a system text; beside messages that say it, it might be too much for their row.
    const hasLog = node.status !== "items" && node.status !== "erased";
    sql.exec(
      "UPDATE node SET instructions = ?, system = ?, cut = ? WHERE id = ?",
      system.instructions,
      hasLog ? systemText(system.instructions, system.said) : "",
      changed.has(id) ? 0 : 1,
      id,
    );
    // A log that begins at position 0 holds the whole conversation before it, erased text included.
    if (!changed.has(id) && node.log && node.log.logParent === null) deletePromptIds(sql, id, node.log.promptLength);
  }
  collectParts(sql);
}

/** What is left of the system text at a node. */
interface SystemText {
  readonly instructions: string | null;
  /** Of system messages from the root on. */
  readonly said: string;
}

const NO_SYSTEM: SystemText = { instructions: null, said: "" };

/**
 * A tombstone has no instructions of its own: those before it are in force again. Equal ones are kept once, however many
 * nodes have them.
 */
function systemBehind(before: SystemText, { status, instructions, input }: Node): SystemText {
  const isSame = status === "erased" || instructions === before.instructions;
  return {
    instructions: isSame ? before.instructions : instructions,
    said: systemText(before.said, systemOf(input.filter((item) => item !== null))),
  };
}

function systemThrough(sql: Sql, id: number | null): SystemText {
  const path: number[] = [];
  let start = NO_SYSTEM;
  for (const node of pathUp(sql, id)) {
    const { instructions, system } = node;
    // Its messages need not say it: an imported state may have come without them.
    if (isFinished(node)) start = { instructions, said: withoutInstructions(system, instructions) };
    if (isFinished(node)) break;
    path.push(node.id);
  }
  return path.reverse().reduce((before, at) => systemBehind(before, findNode(sql, at) as Node), start);
}
