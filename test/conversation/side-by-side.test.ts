/** Two instances of one object alive at once, and alarms that come twice, late or for nothing. */

import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { openModel, openTextSide } from "../../cli/model-argument.ts";
import { nodeSql } from "../../cli/node-sql.ts";
import type { ConversationCore } from "../../shared/conversation/conversation.ts";
import { readMeta } from "../../shared/conversation/meta.ts";
import type { LoadedModel } from "../../shared/conversation/model-source.ts";
import type { TurnEvent, TurnRequest } from "../../shared/conversation/types.ts";
import { FaultyObject, type Instance } from "./faulty-object.ts";
import { allEvents, finished, readEvents, request, sampled, sourceOf, unwrap } from "./fixture.ts";
import { checkInvariants } from "./invariants.ts";

const folder = fileURLToPath(new URL("../../models/fledgling-2m", import.meta.url));

let loaded: LoadedModel;

beforeAll(async () => {
  const model = await openModel(folder, { backend: "wasm", window: "deepmind" });
  loaded = { id: "fledgling", digest: "d".repeat(64), model, ...(await openTextSide(folder)) };
});

function turn(options: Partial<TurnRequest> = {}): TurnRequest {
  const logitBias = loaded.model.config.eosIds.map((id) => [id, -100] as const);
  return request(loaded.id, "Tell me a story.", { sampling: { ...sampled, logitBias }, maxTokens: 70, ...options });
}

async function withObject(use: (object: FaultyObject) => Promise<void>): Promise<void> {
  const database = new DatabaseSync(":memory:");
  const object = new FaultyObject(nodeSql(database), sourceOf(loaded));
  try {
    await use(object);
    await object.settled();
    expect(object.unheard).toStrictEqual([]);
  } finally {
    database.close();
  }
}

/** The events of a turn from its request on. */
const follow = async ({ core }: Instance, asked: TurnRequest) =>
  allEvents(unwrap(await core.turn(asked, { quiet: false })).events);

/** What could be read before the stream broke off, if it did. */
async function readable({ core }: Instance, asked: TurnRequest): Promise<TurnEvent[]> {
  const events: TurnEvent[] = [];
  try {
    for await (const event of readEvents(unwrap(await core.turn(asked, { quiet: false })).events)) events.push(event);
  } catch (error) {
    expect(String(error)).toMatch(/another instance/);
  }
  return events;
}

/** Without what depends on the moment of reading or of computing. */
function lasting(events: Awaited<ReturnType<typeof allEvents>>) {
  return events
    .filter(({ type }) => type !== "prefill")
    .map((event) => {
      if (!("response" in event)) return event;
      const { createdAt: _, completedAt: __, usage, ...response } = event.response;
      return { ...event, response: { ...response, output: usage?.outputTokens } };
    });
}

const uninterrupted = async (asked: TurnRequest, segmentTokens: number) => {
  let events: Awaited<ReturnType<typeof allEvents>> = [];
  await withObject(async (object) => {
    object.segmentTokens = segmentTokens;
    events = await follow(object.open(), asked);
  });
  return events;
};

test.each([
  ["in one piece", 1e9],
  ["in segments", 25],
])(
  "an instance that was replaced at any point writes nothing more, and its readers miss nothing: %s",
  { timeout: 120_000 },
  async (_, segmentTokens) => {
    const expected = lasting(await uninterrupted(turn(), segmentTokens));
    let at = 3; // behind the schema
    for (let hasFired = true; hasFired; at++) {
      await withObject(async (object) => {
        object.segmentTokens = segmentTokens;
        const second: { core: ConversationCore | null; done: Promise<unknown> } = {
          core: null,
          done: Promise.resolve(),
        };
        const replace = () => {
          const { core } = object.open();
          second.core = core;
          second.done = Promise.resolve().then(() => core.response(1)); // any call makes it go on with what it finds
        };
        const first = object.open({ at, kind: replace });
        const seen = await readable(first, turn());
        await second.done;
        expect(lasting(seen), `replaced at point ${at}`).toStrictEqual(expected.slice(0, lasting(seen).length));
        // Who was broken off joins again, and finds what it has seen and the rest.
        const all = await allEvents(unwrap(await (second.core ?? first.core).events(1, { quiet: false })));
        expect(lasting(all), `replaced at point ${at}`).toStrictEqual(expected);
        await object.settled();
        expect(checkInvariants(object.sql), `replaced at point ${at}`).toStrictEqual([]);
        expect(readMeta(object.sql)?.usage.turns, `replaced at point ${at}`).toBe(1);
        hasFired = first.storage.hasFired;
      });
    }
    expect(at).toBeGreaterThan(30);
  },
);

test("an alarm that comes twice at once, late, again or for nothing changes nothing", { timeout: 60_000 }, async () => {
  const expected = lasting(await uninterrupted(turn(), 1e9));
  await withObject(async (object) => {
    object.segmentTokens = 20;
    const empty = object.open().core;
    await Promise.all([empty.wake(), empty.wake()]); // nothing there yet
    const instance = object.open();
    const done = follow(instance, turn());
    let isOver = false;
    void done.then(() => {
      isOver = true;
    });
    while (!isOver) {
      await Promise.all([instance.core.wake(), instance.core.wake(), new Promise((resolve) => setTimeout(resolve, 1))]);
    }
    expect(lasting(await done)).toStrictEqual(expected);
    await instance.core.wake();
    await object.open().core.wake(); // late, in the next instance
    expect(checkInvariants(object.sql)).toStrictEqual([]);
    expect(readMeta(object.sql)?.usage.turns).toBe(1);
  });
});

test("an alarm alone goes on with a turn whose instance vanished, in two instances at once too", async () => {
  const expected = lasting(await uninterrupted(turn(), 1e9));
  await withObject(async (object) => {
    const gone = object.open({ at: 40, kind: "for ever" });
    await gone.core.turn(turn(), { quiet: true }).catch(() => undefined);
    await gone.storage.fired;
    object.abandon();
    const [a, b] = [object.open().core, object.open().core];
    await Promise.all([a.wake(), b.wake(), a.wake()]);
    await object.settled();
    expect(lasting(await allEvents(unwrap(await b.events(1, { quiet: false }))))).toStrictEqual(expected);
    expect(checkInvariants(object.sql)).toStrictEqual([]);
    expect(readMeta(object.sql)?.usage.turns).toBe(1);
  });
});

test("a turn that vanishes with its instance again and again without a new token is given up, and says so", async () => {
  await withObject(async (object) => {
    await object
      .open({ at: 40, kind: "for ever" })
      .core.turn(turn(), { quiet: true })
      .catch(() => undefined);
    object.abandon();
    object.sql.exec("UPDATE node SET attempts = 5");
    await object.open().core.wake();
    await object.settled();
    const [{ status, error }] = object.sql.exec("SELECT status, error FROM node");
    expect({ status, error: JSON.parse(error as string) }).toMatchObject({
      status: "failed",
      error: { code: "server_error" },
    });
    expect(checkInvariants(object.sql)).toStrictEqual([]);
  });
});

test("an import into a conversation that has moved on is refused and leaves nothing behind", async () => {
  await withObject(async (object) => {
    const { core } = object.open();
    const { branch } = unwrap(await core.createBranch({ node: null, items: [], metadata: {} }));
    const parent = { kind: "branch", branch } as const;
    await finished(await core.turn(turn({ parent, maxTokens: 4 }), { quiet: true }));
    const pieces: Uint8Array[] = [];
    for await (const piece of unwrap(await core.exportState(branch))) pieces.push(piece);
    const slowly = new ReadableStream<Uint8Array>({
      async pull(controller) {
        const piece = pieces.shift();
        // While the file arrives, someone else goes on with the conversation.
        if (pieces.length === 1) await finished(await core.turn(turn({ parent, maxTokens: 4 }), { quiet: true }));
        if (piece) controller.enqueue(piece);
        else controller.close();
      },
    });
    const refused = await core.importState(branch, slowly);
    expect(refused).toMatchObject({ ok: false, error: { status: 409, code: "conversation_busy" } });
    expect(object.sql.exec("SELECT id FROM node")).toHaveLength(2);
    expect(checkInvariants(object.sql)).toStrictEqual([]);
  });
});

test("what an import replaced goes with its conversation; what another one shares stays", async () => {
  await withObject(async (object) => {
    const { core } = object.open();
    const { branch } = unwrap(await core.createBranch({ node: null, items: [], metadata: {} }));
    const say = async (content: string) => {
      const asked = turn({ parent: { kind: "branch", branch }, input: [{ role: "user", content }], maxTokens: 4 });
      return (await finished(await core.turn(asked, { quiet: true })))[0].node;
    };
    const shared = await say("marimba");
    await say("xylophone");
    const fork = unwrap(await core.createBranch({ node: shared, items: [], metadata: {} }));
    unwrap(await core.importState(branch, unwrap(await core.exportState(branch))));
    unwrap(await core.deleteBranch(branch));
    const texts = () => JSON.stringify(object.sql.exec("SELECT input, output FROM node"));
    expect(texts()).not.toContain("xylophone");
    expect(texts()).toContain("marimba");
    expect(checkInvariants(object.sql)).toStrictEqual([]);
    unwrap(await core.deleteBranch(fork.branch));
    expect(texts()).not.toContain("marimba");
    expect(object.forgotten).toBe(true);
  });
});
