/** Erasing text, and everything that was computed from it. */

import { collectParts, deleteCheckpoint } from "./checkpoints.ts";
import { childrenOf, type Node, pathUp } from "./nodes.ts";
import { systemOf, systemText } from "./prompt.ts";
import type { Sql } from "./sql.ts";
import { deleteIds, deletePromptIds } from "./token-log.ts";

/** Leaves a tombstone of a response: the tree stays, the text goes. Within a transaction. */
export function eraseNode(sql: Sql, id: number): void {
  sql.exec(
    `UPDATE node SET status = 'erased', request = NULL, input = '[]', output = NULL, error = NULL, digest = NULL,
     tail = NULL WHERE id = ?`,
    id,
  );
  deleteIds(sql, id);
  cutOff(sql, id);
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
  cutOff(sql, node.id);
}

/**
 * What was computed from a node's text goes with it: its state and those of everything behind it. Their own texts stay;
 * whoever goes on from them has the conversation encoded again, from what is left of it.
 */
function cutOff(sql: Sql, id: number): void {
  deleteCheckpoint(sql, id);
  refreshSystem(sql, id);
  const waiting = childrenOf(sql, id);
  for (let node = waiting.pop(); node; node = waiting.pop()) {
    deleteCheckpoint(sql, node.id);
    refreshSystem(sql, node.id); // parents before their children
    sql.exec("UPDATE node SET cut = 1 WHERE id = ?", node.id);
    // A log that begins at position 0 holds the whole conversation before it, erased text included.
    if (node.log && node.log.logParent === null) deletePromptIds(sql, node.id, node.log.promptLength);
    waiting.push(...childrenOf(sql, node.id));
  }
  collectParts(sql);
}

/** The system text that is left. A tombstone has no instructions of its own: those before it are in force again. */
function refreshSystem(sql: Sql, id: number): void {
  const path = [...pathUp(sql, id)];
  const [node, parent] = path;
  if (!node) return;
  const instructions = node.status === "erased" ? (parent?.instructions ?? null) : node.instructions;
  const said = path.reverse().flatMap(({ input }) => input.filter((item) => item !== null));
  sql.exec(
    "UPDATE node SET instructions = ?, system = ? WHERE id = ?",
    instructions,
    systemText(instructions, systemOf(said)),
    id,
  );
}
