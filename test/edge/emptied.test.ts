/** Where no conversation is, nothing takes storage: not after the last one was deleted, not where none began. */

import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { conversationPort } from "../../durable-objects/conversation-port.ts";
import { request, unwrap, user } from "../conversation/fixture.ts";

const newObject = () => env.CONVERSATIONS.newUniqueId().toString();
const stubOf = (object: string) => env.CONVERSATIONS.get(env.CONVERSATIONS.idFromString(object));

function tablesOf(object: string): Promise<number> {
  return runInDurableObject(stubOf(object), async (_, { storage }) => {
    const tables = storage.sql.exec("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB '_cf_*'");
    return tables.toArray().length;
  });
}

// A GET with the id of what was deleted made its tables again, and nothing ever removed them.
test("what was deleted is not made again by asking for it", async () => {
  const object = newObject();
  const port = conversationPort(env, "default", object);
  const { branch, head } = unwrap(await port.createBranch({ node: null, items: [user("Hi.")], metadata: {} }));
  expect(await tablesOf(object)).toBeGreaterThan(3);
  unwrap(await port.deleteBranch(branch));
  expect(await port.branch(branch)).toMatchObject({ ok: false, error: { code: "conversation_not_found" } });
  expect(await port.response(head as number)).toMatchObject({ ok: false, error: { code: "response_not_found" } });
  const after = request("fledgling-4m", "Hi.", { parent: { kind: "node", node: 1 } });
  expect(await port.turn(after, { quiet: true })).toMatchObject({
    ok: false,
    error: { code: "previous_response_not_found" },
  });
  expect(await tablesOf(object)).toBe(0);
  await port.destroy();
  expect(await tablesOf(object)).toBe(0);
});

test("what never began is gone after an hour", async () => {
  const object = newObject();
  const refused = await conversationPort(env, "default", object).turn(request("nobody", "Hi."), { quiet: true });
  expect(refused).toMatchObject({ ok: false, error: { status: 404 } });
  expect(await tablesOf(object)).toBeGreaterThan(3);
  expect(await runDurableObjectAlarm(stubOf(object))).toBe(true);
  expect(await tablesOf(object)).toBe(0);
});
