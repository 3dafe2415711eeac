/** Two instances of one object alive at once, and alarms that come twice, late or for nothing. */

import { beforeAll, expect, test } from "vitest";
import { findCheckpoint } from "../../shared/conversation/checkpoints.ts";
import type { ConversationCore } from "../../shared/conversation/conversation.ts";
import { readMeta } from "../../shared/conversation/meta.ts";
import type { LoadedModel } from "../../shared/conversation/model-source.ts";
import { countIds } from "../../shared/conversation/token-log.ts";
import type { TurnEvent, TurnRequest } from "../../shared/conversation/types.ts";
import { FaultPoints } from "./faults.ts";
import {
  allEvents,
  finished,
  readEvents,
  request,
  sampled,
  sourceOf,
  type TestObject,
  unwrap,
  user,
} from "./fixture.ts";
import { checkInvariants } from "./invariants.ts";
import { loadFledgling, withObject } from "./node-shell.ts";

let loaded: LoadedModel;

beforeAll(async () => {
  loaded = await loadFledgling();
});

function turn(options: Partial<TurnRequest> = {}): TurnRequest {
  const logitBias = loaded.model.config.eosIds.map((id) => [id, -100] as const);
  return request(loaded.id, "Tell me a story.", { sampling: { ...sampled, logitBias }, maxTokens: 70, ...options });
}

/** The events of a turn from its request on. */
const follow = async (core: ConversationCore, asked: TurnRequest) =>
  allEvents(unwrap(await core.turn(asked, { quiet: false })).events);

/** What could be read before the stream broke off, if it did. */
async function readable(core: ConversationCore, asked: TurnRequest): Promise<TurnEvent[]> {
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
  await withObject(sourceOf(loaded), async (object) => {
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
      await withObject(sourceOf(loaded), async (object) => {
        object.segmentTokens = segmentTokens;
        const second: { core: ConversationCore | null; done: Promise<unknown> } = {
          core: null,
          done: Promise.resolve(),
        };
        const replace = () => {
          const core = object.open();
          second.core = core;
          second.done = Promise.resolve().then(() => core.response(1)); // any call makes it go on with what it finds
        };
        const faults = new FaultPoints({ at, kind: replace });
        const first = object.openWith(faults);
        const seen = await readable(first, turn());
        await second.done;
        expect(lasting(seen), `replaced at point ${at}`).toStrictEqual(expected.slice(0, lasting(seen).length));
        // Who was broken off joins again, and finds what it has seen and the rest.
        const all = await allEvents(unwrap(await (second.core ?? first).events(1, { quiet: false })));
        expect(lasting(all), `replaced at point ${at}`).toStrictEqual(expected);
        await object.settled();
        expect(checkInvariants(object.sql, loaded), `replaced at point ${at}`).toStrictEqual([]);
        expect(readMeta(object.sql)?.usage.turns, `replaced at point ${at}`).toBe(1);
        hasFired = faults.hasFired;
      });
    }
    expect(at).toBeGreaterThan(30);
  },
);

test("an alarm that comes twice at once, late, again or for nothing changes nothing", { timeout: 60_000 }, async () => {
  const expected = lasting(await uninterrupted(turn(), 1e9));
  await withObject(sourceOf(loaded), async (object) => {
    object.segmentTokens = 20;
    const empty = object.open();
    await Promise.all([empty.wake(), empty.wake()]); // nothing there yet
    const instance = object.open();
    const done = follow(instance, turn());
    let isOver = false;
    void done.then(() => {
      isOver = true;
    });
    const late = new Promise<"late">((resolve) => setTimeout(resolve, 30_000, "late"));
    const isLate = async () => (await Promise.race([late, null])) === "late";
    while (!isOver && !(await isLate())) {
      const wakes = Promise.all([instance.wake(), instance.wake(), new Promise((resolve) => setTimeout(resolve, 1))]);
      await Promise.race([wakes, late]);
    }
    expect(isOver, "the turn comes to its end within 30 s").toBe(true);
    expect(lasting(await done)).toStrictEqual(expected);
    await instance.wake();
    await object.open().wake(); // late, in the next instance
    expect(checkInvariants(object.sql, loaded)).toStrictEqual([]);
    expect(readMeta(object.sql)?.usage.turns).toBe(1);
  });
});

/** An instance begins a turn and is gone in the middle of it. */
async function vanish(object: TestObject): Promise<void> {
  const faults = new FaultPoints({ at: 60, kind: "for ever" });
  await object
    .openWith(faults)
    .turn(turn(), { quiet: true })
    .catch(() => undefined);
  await faults.fired;
  object.abandon();
  expect(readMeta(object.sql)?.running).toStrictEqual([1]);
}

test("an alarm alone goes on with a turn whose instance vanished, in two instances at once too", async () => {
  const expected = lasting(await uninterrupted(turn(), 1e9));
  await withObject(sourceOf(loaded), async (object) => {
    await vanish(object);
    const [a, b] = [object.open(), object.open()];
    await Promise.all([a.wake(), b.wake(), a.wake()]);
    await object.settled();
    expect(lasting(await allEvents(unwrap(await b.events(1, { quiet: false }))))).toStrictEqual(expected);
    expect(checkInvariants(object.sql, loaded)).toStrictEqual([]);
    expect(readMeta(object.sql)?.usage.turns).toBe(1);
  });
});

test("a turn that vanishes with its instance again and again without a new token is given up, and says so", async () => {
  await withObject(sourceOf(loaded), async (object) => {
    await vanish(object);
    object.sql.exec("UPDATE node SET attempts = 5");
    await object.open().wake();
    await object.settled();
    const [{ status, error }] = object.sql.exec("SELECT status, error FROM node");
    expect({ status, error: JSON.parse(error as string) }).toMatchObject({
      status: "failed",
      error: { code: "server_error" },
    });
    expect(checkInvariants(object.sql, loaded)).toStrictEqual([]);
  });
});

// That it could still write a checkpoint was caught by nothing: what it writes is right, but for where its successor stands.
test("an instance that was replaced while it hashed a checkpoint does not put it over its successor's", () =>
  withObject(sourceOf(loaded), async (object) => {
    const expected = lasting(await uninterrupted(turn(), 1e9));
    object.segmentTokens = 25;
    let isOver: () => void = () => undefined;
    const over = new Promise<void>((resolve) => {
      isOver = resolve;
    });
    const faults = new FaultPoints(null);
    const first = object.openWith(faults, async () => {
      if (faults.passed.includes("digest")) await over; // the second part that it hashes, and all after
    });
    void first.turn(turn(), { quiet: true });
    while (!faults.passed.includes("digest")) await new Promise((resolve) => setTimeout(resolve, 1));
    const second = object.open();
    expect(lasting(await allEvents(unwrap(await second.events(1, { quiet: false }))))).toStrictEqual(expected);
    const checkpoint = () => object.sql.exec("SELECT position, recurrent, segments FROM checkpoint");
    const written = checkpoint();
    isOver();
    await object.settled();
    expect(checkpoint()).toStrictEqual(written);
  }));

// Its parent's checkpoint was one that the policy drops: the parts that it shares went with it, and its own named none.
test("what a running turn shares with an old state is not collected under it", () =>
  withObject(sourceOf(loaded), async (object) => {
    const core = object.open();
    const { windowSize } = loaded.model.config;
    const end = (node: number) => findCheckpoint(object.sql, node)?.position ?? 0;
    /** So many words that the third turn ends a little behind a full segment, whatever the tokenizer makes of them. */
    const long = () => {
      const tokens = (text: string) => loaded.tokenizer.encode(text).length;
      const others = end(2) + (end(2) - end(1)) - tokens("More.");
      for (let words = 40; ; words++) {
        const text = Array(words).fill("marimba").join(" ");
        if ((others + tokens(text)) % windowSize < 10) return text;
      }
    };
    let last = 0;
    for (let at = 1; at <= 10; at++) {
      const parent = last === 0 ? ({ kind: "root" } as const) : ({ kind: "node", node: last } as const);
      const said = turn({ parent, input: [user(at === 3 || at === 4 ? long() : "More.")], maxTokens: 2 });
      [{ node: last }] = await finished(await core.turn(said, { quiet: true }));
    }
    // The full segment before its end is in no checkpoint that is kept, and in the one that the running turn will write.
    expect(end(3) % windowSize).toBeLessThan(20);
    const begun = unwrap(await core.turn(turn({ parent: { kind: "node", node: 3 }, maxTokens: 30 }), { quiet: false }));
    const [{ prompt }] = object.sql.exec("SELECT prompt_length AS prompt FROM node WHERE id = 11");
    while (countIds(object.sql, 11) <= Number(prompt)) await new Promise((resolve) => setTimeout(resolve, 0));
    await core.wake();
    await allEvents(begun.events);
    await object.settled();
    expect(checkInvariants(object.sql, loaded)).toStrictEqual([]);
    await core.wake();
    expect(object.sql.exec("SELECT node FROM checkpoint WHERE node = 3")).toStrictEqual([]);
  }));
