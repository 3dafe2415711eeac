/** Conversations in a Durable Object's storage: the same suite as on Node's SQLite. */

import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { durableSql } from "../../durable-objects/durable-sql.ts";
import { modelHost } from "../../durable-objects/model-host.ts";
import { turnsSuite } from "../conversation/turns.suite.ts";

turnsSuite({
  name: "a Durable Object",
  load: () => modelHost(env).load("fledgling-4m"),
  withSql: (use) =>
    runInDurableObject(env.CONVERSATIONS.get(env.CONVERSATIONS.newUniqueId()), (_, { storage }) =>
      use(durableSql(storage)),
    ),
});
