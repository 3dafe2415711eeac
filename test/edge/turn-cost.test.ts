/** What a turn costs in rows of an object's storage, which is what its owner pays by. */

import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { modelHost } from "../../durable-objects/model-host.ts";
import type { Sql, SqlRow, SqlValue } from "../../shared/conversation/sql.ts";
import { finished, request, sourceOf, testObject } from "../conversation/fixture.ts";

interface Cost {
  rowsRead: number;
  rowsWritten: number;
}

/** As `durableSql`, and counts. */
function countingSql(storage: DurableObjectStorage, cost: Cost): Sql {
  return {
    exec(query, ...values: SqlValue[]) {
      const cursor = storage.sql.exec(query, ...values.map((v) => (v instanceof Uint8Array ? v.slice().buffer : v)));
      const rows = cursor.toArray() as Record<string, unknown>[];
      cost.rowsRead += cursor.rowsRead;
      cost.rowsWritten += cursor.rowsWritten;
      return rows.map((row) =>
        Object.fromEntries(
          Object.entries(row).map(([name, value]) => [
            name,
            value instanceof ArrayBuffer ? new Uint8Array(value) : value,
          ]),
        ),
      ) as SqlRow[];
    },
    transaction: (body) => storage.transactionSync(body),
  };
}

/** The cost of the last of `turns` follow-ups, by a new instance. */
async function costOfTurn(turns: number): Promise<Cost & { processedTokens: number }> {
  const loaded = await modelHost(env).load("fledgling-2m");
  const stub = env.CONVERSATIONS.get(env.CONVERSATIONS.newUniqueId());
  return runInDurableObject(stub, async (_, { storage }) => {
    const cost: Cost = { rowsRead: 0, rowsWritten: 0 };
    const object = testObject(countingSql(storage, cost), sourceOf(loaded));
    const sampling = {
      ...request(loaded.id, "").sampling,
      logitBias: loaded.model.config.eosIds.map((id) => [id, -100] as const),
    };
    let parent = 0;
    let processedTokens = 0;
    for (let turn = 0; turn < turns; turn++) {
      const conversation = object.open();
      Object.assign(cost, { rowsRead: 0, rowsWritten: 0 });
      const next = request(loaded.id, "And then?", {
        parent: parent === 0 ? { kind: "root" } : { kind: "node", node: parent },
        maxTokens: 20,
        sampling,
      });
      const [response] = await finished(await conversation.turn(next, { quiet: true }));
      parent = response.node;
      processedTokens = response.usage?.processedTokens ?? 0;
      await object.settled();
    }
    return { ...cost, processedTokens };
  });
}

test("a turn costs the same rows and the same tokens in a short conversation and in a long one", async () => {
  // Where the window's newest segment ends within the turn, it is written as two parts: compare turns that are alike.
  const short = await costOfTurn(8);
  const long = await costOfTurn(8 + 64);
  expect(long).toStrictEqual(short);
  expect(short).toMatchObject({ rowsWritten: 12 });
});
