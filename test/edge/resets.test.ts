/** The runtime resets objects: for a deployment, an update of its own, a host that moves. Turns go on in the next instance. */

import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, expect, test } from "vitest";
import { conversationPort } from "../../durable-objects/conversation-port.ts";
import { modelHost } from "../../durable-objects/model-host.ts";
import { fromStream, rejoining } from "../../shared/api/turn-source.ts";
import type { ResponseRecord, TurnRequest } from "../../shared/conversation/types.ts";
import { finished, readEvents, request, sampled, unwrap } from "../conversation/fixture.ts";

let turn: TurnRequest;
beforeAll(async () => {
  const { model } = await modelHost(env).load("fledgling-2m");
  const logitBias = model.config.eosIds.map((id) => [id, -100] as const);
  turn = request("fledgling-2m", "Tell me a story about an owl.", {
    maxTokens: 600,
    sampling: { ...sampled, logitBias },
  });
});

const newObject = () => env.CONVERSATIONS.newUniqueId().toString();

const conversation = (object: string) => conversationPort(env, "default", object);

/** Begins the turn, reads until some text came, and resets every object. Returns the response's node. */
async function beginAndReset(object: string): Promise<number> {
  const begun = unwrap(await conversation(object).turn(turn, { quiet: false }));
  let texts = 0;
  try {
    for await (const event of readEvents(begun.events)) {
      if (event.type === "text" && ++texts === 5) await abortAllDurableObjects();
    }
  } catch {
    // the stream of an object that was reset breaks off
  }
  expect(texts).toBeGreaterThanOrEqual(5);
  return begun.responses[0].node;
}

async function uninterrupted(): Promise<ResponseRecord> {
  const [response] = await finished(await conversation(newObject()).turn(turn, { quiet: true }));
  return response;
}

test("a reader that comes back finds the turn going on, and ends with the same text", async () => {
  const { output, status } = await uninterrupted();
  const object = newObject();
  const node = await beginAndReset(object);
  const events = unwrap(await conversation(object).events(node, { quiet: false }));
  let text = "";
  for await (const event of readEvents(events)) {
    if (event.type === "text") text += event.text;
    if (event.type === "end") expect(event.response).toMatchObject({ output, status });
  }
  expect(text).toBe(output);
});

test("the reader of a reset object never notices: the Worker's port joins the turn again", async () => {
  const { output } = await uninterrupted();
  const port = conversation(newObject());
  const begun = unwrap(await port.turn(turn, { quiet: false }));
  const source = rejoining(fromStream(begun.events), port, [begun.responses[0].node], false);
  let text = "";
  let texts = 0;
  for (let event = await source.next(); event !== null; event = await source.next()) {
    if (event.type === "text") text += event.text;
    if (event.type === "text" && ++texts === 5) await abortAllDurableObjects();
  }
  expect(text).toBe(output);
});

test("nobody comes back: the alarm goes on with the turn", async () => {
  const { output, status } = await uninterrupted();
  const object = newObject();
  const node = await beginAndReset(object);
  const stub = env.CONVERSATIONS.get(env.CONVERSATIONS.idFromString(object));
  expect(await runDurableObjectAlarm(stub)).toBe(true);
  for (;;) {
    const response = unwrap(await conversation(object).response(node));
    if (response.status !== "in_progress") {
      expect(response).toMatchObject({ output, status });
      return;
    }
    await scheduler.wait(50);
  }
});

test("an alarm that fails comes again: the runtime would try six times and then never", async () => {
  const object = newObject();
  await finished(await conversation(object).turn({ ...turn, maxTokens: 4 }, { quiet: true }));
  await abortAllDurableObjects();
  const stub = env.CONVERSATIONS.get(env.CONVERSATIONS.idFromString(object));
  await runInDurableObject(stub, (_, { storage }) => void storage.sql.exec("UPDATE meta SET format = 99"));
  expect(await runDurableObjectAlarm(stub)).toBe(true);
  const next = await runInDurableObject(stub, (_, { storage }) => storage.getAlarm());
  expect(next).toBeGreaterThan(Date.now());
  await runInDurableObject(stub, async (_, { storage }) => storage.deleteAlarm());
});
