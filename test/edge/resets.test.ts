/** The runtime resets objects: for a deployment, an update of its own, a host that moves. Turns go on in the next instance. */

import { abortAllDurableObjects, runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, expect, test } from "vitest";
import { modelHost } from "../../durable-objects/model-host.ts";
import { portOver } from "../../shared/conversation/port-call.ts";
import type { ConversationPort, ResponseRecord, TurnRequest } from "../../shared/conversation/types.ts";
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

/** A stub is broken once its object was reset: a new one for every call. */
function conversation(object: string): ConversationPort {
  const stub = () => env.CONVERSATIONS.get(env.CONVERSATIONS.idFromString(object));
  return portOver((method, args) => stub().call("default", method, args) as never);
}

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
