/** Erasing costs what there is to erase, and leaves what somebody needs. */

import { DatabaseSync } from "node:sqlite";
import { describe, expect, test } from "vitest";
import { nodeSql } from "../../cli/node-sql.ts";
import { BranchOperations } from "../../shared/conversation/branches.ts";
import { eraseNodes } from "../../shared/conversation/erase.ts";
import { findNode } from "../../shared/conversation/nodes.ts";
import { prepareSchema } from "../../shared/conversation/schema.ts";
import type { Sql } from "../../shared/conversation/sql.ts";
import { user } from "./fixture.ts";

function setUp() {
  const inner = nodeSql(new DatabaseSync(":memory:"));
  const counted = { rows: 0 };
  const sql: Sql = {
    exec(query, ...values) {
      const rows = inner.exec(query, ...values);
      counted.rows += 1 + rows.length;
      return rows;
    },
    transaction: (body) => inner.transaction(body),
  };
  prepareSchema(sql);
  const branches = new BranchOperations({ tenant: "default", sql, now: () => 0 }, async () => {});
  const remove = (branch: number) => branches.delete(branch, branches.find(branch).head);
  const line = async (messages: number, from: number | null = null) => {
    const { branch } = branches.create({ node: from, items: [], metadata: {} });
    const nodes: number[] = [];
    for (let at = 0; at < messages; at++) nodes.push((await branches.add(branch, [user("Hi.")]))[0].node);
    return { branch, nodes };
  };
  return { sql, counted, branches, remove, line };
}

// Each of them walked over all that was behind it: 200 messages took a minute, in which their object answered nobody.
test.each(["a conversation", "its first response"])(
  "deleting %s reads each row a few times, however many",
  async (what) => {
    const rows: number[] = [];
    for (const messages of [100, 200]) {
      const { sql, counted, remove, line } = setUp();
      const { branch, nodes } = await line(messages);
      counted.rows = 0;
      if (what === "a conversation") remove(branch);
      else eraseNodes(sql, nodes.slice(0, 1));
      rows.push(counted.rows);
    }
    expect(rows[1] / rows[0]).toBeLessThan(2.1);
  },
);

describe("what a deleted conversation leaves", () => {
  test("what a fork goes on from stays, behind a tombstone too", async () => {
    const { sql, remove, line } = setUp();
    const { branch, nodes } = await line(3);
    const fork = await line(1, nodes[1]);
    eraseNodes(sql, [nodes[1]]);
    remove(branch);
    const status = (id: number) => findNode(sql, id)?.status;
    expect([...nodes, ...fork.nodes].map(status)).toStrictEqual(["items", "erased", "erased", "items"]);
  });

  test("the last one takes the rest", async () => {
    const { sql, remove, line } = setUp();
    const { branch, nodes } = await line(3);
    const fork = await line(1, nodes[1]);
    expect(remove(branch)).toBe(false);
    expect(remove(fork.branch)).toBe(true);
    expect(sql.exec("SELECT id FROM node WHERE status <> 'erased'")).toStrictEqual([]);
  });
});
