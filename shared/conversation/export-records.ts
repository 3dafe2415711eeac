/** Everything that a conversation's object keeps, for its owner to take away. */

import { type BranchOperations, itemsOf } from "./branches.ts";
import { findNode, toRecord } from "./nodes.ts";
import type { Sql } from "./sql.ts";
import type { ExportRecord } from "./types.ts";

/** NDJSON of `ExportRecord`s, read one by one: a conversation may be larger than memory. */
export function exportRecords(sql: Sql, branches: BranchOperations): ReadableStream<Uint8Array> {
  const records = recordsOf(sql, branches);
  const encoder = new TextEncoder();
  return new ReadableStream({
    type: "bytes",
    pull(controller) {
      const { done, value } = records.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(`${JSON.stringify(value)}\n`));
    },
  });
}

function* recordsOf(sql: Sql, branches: BranchOperations): Generator<ExportRecord, void> {
  for (const { branch } of branches.list()) yield { type: "branch", branch: branches.find(branch) };
  for (let after = 0; ; ) {
    const [row] = sql.exec("SELECT id FROM node WHERE id > ? ORDER BY id LIMIT 1", after);
    if (!row) return;
    after = row.id as number;
    const node = findNode(sql, after);
    if (!node) continue;
    const response = toRecord(node);
    if (response) yield { type: "response", response };
    const items = response ? [] : itemsOf(node, false);
    if (items.length > 0) yield { type: "items", branch: node.branch, createdAt: node.createdAt, items };
  }
}
