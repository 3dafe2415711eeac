/** The runtime resets objects: for a deployment, an update of its own, a host that moves. Turns go on in the next instance. */

import { abortAllDurableObjects, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeAll, expect, test } from "vitest";
import { conversationPort } from "../../durable-objects/conversation-port.ts";
import { durableSql } from "../../durable-objects/durable-sql.ts";
import { modelHost } from "../../durable-objects/model-host.ts";
import { fromStream, rejoining } from "../../shared/api/turn-source.ts";
import type { ResponseRecord, TurnEvent, TurnRequest } from "../../shared/conversation/types.ts";
import { finished, readEvents, request, sampled, unwrap } from "../conversation/fixture.ts";
import { checkInvariants } from "../conversation/invariants.ts";

let turn: TurnRequest;
beforeAll(async () => {
  const { model } = await modelHost(env).load("fledgling-4m");
  const logitBias = model.config.eosIds.map((id) => [id, -100] as const);
  turn = request("fledgling-4m", "Tell me a story about an owl.", {
    maxTokens: 600,
    sampling: { ...sampled, logitBias },
  });
});

const newObject = () => env.CONVERSATIONS.newUniqueId().toString();

const conversation = (object: string) => conversationPort(env, "default", object);

const stubOf = (object: string) => env.CONVERSATIONS.get(env.CONVERSATIONS.idFromString(object));

/** The conversation's database, whatever state its turns are in; nothing is set going by that. */
const inspect = <Result>(object: string, use: (sql: ReturnType<typeof durableSql>) => Result): Promise<Result> =>
  runInDurableObject(stubOf(object), (_, { storage }) => use(durableSql(storage)));

async function expectSound(object: string): Promise<void> {
  const loaded = await modelHost(env).load("fledgling-4m");
  expect(await inspect(object, (sql) => checkInvariants(sql, loaded))).toStrictEqual([]);
}

/** Begins a turn, reads until `isDue`, and resets every object. Returns the response's node. */
async function beginAndReset(
  object: string,
  asked: TurnRequest = turn,
  isDue: (event: TurnEvent) => boolean | Promise<boolean> = afterTexts(5),
): Promise<number> {
  const begun = unwrap(await conversation(object).turn(asked, { quiet: false }));
  let isReset = false;
  try {
    for await (const event of readEvents(begun.events)) {
      if (isReset || !(await isDue(event))) continue;
      isReset = true;
      await abortAllDurableObjects();
    }
  } catch {
    // the stream of an object that was reset breaks off
  }
  expect(isReset).toBe(true);
  await expectSound(object);
  return begun.responses[0].node;
}

function afterTexts(count: number): (event: TurnEvent) => boolean {
  let texts = 0;
  return ({ type }) => type === "text" && ++texts === count;
}

/** A reader that comes back hears the reply that there would have been. */
async function expectGoesOn(object: string, node: number, { output, status, usage }: ResponseRecord): Promise<void> {
  const events = unwrap(await conversation(object).events(node, { quiet: false }));
  let text = "";
  for await (const event of readEvents(events)) {
    if (event.type === "text") text += event.text;
    if (event.type === "end") expect(event.response).toMatchObject({ output, status, usage });
  }
  expect(text).toBe(output);
  await expectSound(object);
}

async function uninterrupted(asked: TurnRequest = turn): Promise<ResponseRecord> {
  const [response] = await finished(await conversation(newObject()).turn(asked, { quiet: true }));
  return response;
}

test("a reader that comes back finds the turn going on, and ends with the same text", async () => {
  const object = newObject();
  await expectGoesOn(object, await beginAndReset(object), await uninterrupted());
});

test("in the middle of a prompt: it is read again, and nothing of the reply is missing", async () => {
  const asked = {
    ...turn,
    maxTokens: 60,
    input: [{ role: "user", content: "An owl and a bear. ".repeat(500) }],
  } as const;
  const object = newObject();
  const node = await beginAndReset(object, asked, (event) => event.type === "prefill" && event.done < event.total);
  const [{ ids, prompt }] = await inspect(object, (sql) =>
    sql.exec("SELECT SUM(length(ids)) / 4 AS ids, (SELECT prompt_length FROM node) AS prompt FROM log"),
  );
  expect(ids).toBe(prompt); // no output id: it was reset in prefill
  await expectGoesOn(object, node, await uninterrupted(asked));
});

test("behind the checkpoint of a segment: the next instance goes on from it", async () => {
  const expected = await uninterrupted();
  const object = newObject();
  // Only of this instance: those that come after a reset have what is deployed.
  await runInDurableObject(stubOf(object), (instance) => {
    Reflect.set(instance, "env", { ...env, AERIE_SEGMENT_SECONDS: "0.02" });
  });
  const segments = (sql: ReturnType<typeof durableSql>) =>
    sql.exec("SELECT n.id FROM node n JOIN checkpoint c ON c.node = n.id WHERE n.status = 'in_progress'").length;
  const node = await beginAndReset(object, turn, async () => (await inspect(object, segments)) > 0);
  expect(await inspect(object, segments)).toBe(1);
  await expectGoesOn(object, node, expected);
});

test.each([0, 1, 3, 10, 30])(
  "in an import, %i ms into its second half: all of it is there or nothing",
  async (wait) => {
    const source = conversation(newObject());
    const { branch: from } = unwrap(await source.createBranch({ node: null, items: [], metadata: {} }));
    const first = { ...turn, maxTokens: 30, parent: { kind: "branch", branch: from } } as const;
    await finished(await source.turn(first, { quiet: true }));
    const file = new Uint8Array(await new Response(unwrap(await source.exportState(from))).arrayBuffer());
    const saying = async (port: ReturnType<typeof conversation>, branch: number) =>
      (await finished(await port.turn({ ...first, parent: { kind: "branch", branch } }, { quiet: true })))[0];

    const object = newObject();
    const { branch } = unwrap(await conversation(object).createBranch({ node: null, items: [], metadata: {} }));
    const pieces = [file.slice(0, file.length / 2), file.slice(file.length / 2)];
    const slow = new ReadableStream({
      type: "bytes",
      async pull(controller) {
        const piece = pieces.shift();
        if (!piece) return controller.close();
        if (pieces.length === 0) setTimeout(() => void abortAllDurableObjects(), wait);
        if (pieces.length === 0 && wait === 0) await scheduler.wait(10); // reset before the second half comes
        controller.enqueue(piece);
      },
    });
    await conversation(object)
      .importState(branch, slow)
      .catch(() => null); // told or not
    await scheduler.wait(wait + 20); // reset by now
    await expectSound(object);
    const { head } = unwrap(await conversation(object).branch(branch));
    if (wait === 0) expect(head).toBeNull();
    if (head === null) unwrap(await conversation(object).importState(branch, new Blob([file]).stream()));
    expect((await saying(conversation(object), branch)).output).toBe((await saying(source, from)).output);
    await expectSound(object);
  },
);

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
  const stub = stubOf(object);
  expect(await runDurableObjectAlarm(stub)).toBe(true);
  for (;;) {
    const response = unwrap(await conversation(object).response(node));
    if (response.status !== "in_progress") {
      expect(response).toMatchObject({ output, status });
      await expectSound(object);
      return;
    }
    await scheduler.wait(50);
  }
});

test("an alarm that fails comes again: the runtime would try six times and then never", async () => {
  const object = newObject();
  await finished(await conversation(object).turn({ ...turn, maxTokens: 4 }, { quiet: true }));
  await abortAllDurableObjects();
  const stub = stubOf(object);
  await runInDurableObject(stub, (_, { storage }) => void storage.sql.exec("UPDATE meta SET format = 99"));
  expect(await runDurableObjectAlarm(stub)).toBe(true);
  const next = await runInDurableObject(stub, (_, { storage }) => storage.getAlarm());
  expect(next).toBeGreaterThan(Date.now());
  await runInDurableObject(stub, async (_, { storage }) => storage.deleteAlarm());
});
