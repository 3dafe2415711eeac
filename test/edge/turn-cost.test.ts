/** What a turn and the alarm behind it cost: exactly the same behind a thousand tokens and behind a hundred thousand. */

import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { durableSql, newCounters, type StorageCounters } from "../../durable-objects/durable-sql.ts";
import { modelHost } from "../../durable-objects/model-host.ts";
import type { ResponseRecord, TurnRequest } from "../../shared/conversation/types.ts";
import { finished, request, sourceOf, testObject } from "../conversation/fixture.ts";

const ALIKE = 6; // turns before the one that counts: the newest rows and checkpoints belong to turns of one kind
const WORDS = 20;
const REPLY = 20;

interface Cost extends StorageCounters {
  readonly inputTokens: number;
  readonly processedTokens: number;
  /** Of the alarm that comes half a minute later. */
  readonly alarm: StorageCounters;
}

/** Of a short turn, by a new instance, in a conversation of about `length` tokens. */
async function costOfTurn(length: number): Promise<Cost> {
  const loaded = await modelHost(env).load("fledgling-4m");
  const { windowSize, eosIds } = loaded.model.config;
  const stub = env.CONVERSATIONS.get(env.CONVERSATIONS.newUniqueId());
  return runInDurableObject(stub, async (_, { storage }) => {
    const counters = newCounters();
    const object = testObject(durableSql(storage, counters), sourceOf(loaded, { tokensPerYield: 64 }));
    // Always the same reply, never its end: texts of equal length.
    const word = loaded.tokenizer.encode("and and")[1];
    const logitBias = [[word, 100] as const, ...eosIds.map((id) => [id, -100] as const)];
    const sampling = { ...request(loaded.id, "").sampling, logitBias };
    let last: ResponseRecord | null = null;
    const end = () => (last?.usage?.inputTokens ?? 0) + (last?.usage?.outputTokens ?? 0);
    const say = async (words: number): Promise<number> => {
      const before = end();
      const parent = last ? ({ kind: "node", node: last.node } as const) : ({ kind: "root" } as const);
      const turn = request(loaded.id, Array(words).fill("and").join(" "), { parent, maxTokens: REPLY, sampling });
      [last] = await finished(await object.open().turn(turn, { quiet: true }));
      await object.settled();
      return end() - before;
    };

    await say(WORDS);
    const alike = await say(WORDS);
    const frame = alike - WORDS; // what a turn has besides its words
    await say(length - end() - (ALIKE + 1) * alike);
    // The turn that counts begins where a segment does.
    await say(windowSize - ((end() + frame + ALIKE * alike) % windowSize));
    for (let turn = 0; turn < ALIKE; turn++) await say(WORDS);
    expect(end() % windowSize).toBe(0);
    await object.open().wake(); // drops old states: not behind each turn

    Object.assign(counters, newCounters());
    await say(WORDS);
    const turn = { ...counters };
    Object.assign(counters, newCounters());
    await object.open().wake();
    const { inputTokens, processedTokens } = (last as unknown as ResponseRecord).usage ?? {};
    return { ...turn, alarm: { ...counters }, inputTokens: inputTokens ?? 0, processedTokens: processedTokens ?? 0 };
  });
}

test("rows, bytes and tokens are equal at 1 k and at 100 k", { timeout: 240_000 }, async () => {
  const { inputTokens: short, ...shortCost } = await costOfTurn(1_000);
  const { inputTokens: long, ...longCost } = await costOfTurn(100_000);
  expect(long).toBeGreaterThan(99_000);
  expect(short).toBeLessThan(1_100);
  expect(longCost).toStrictEqual(shortCost);
  expect(shortCost.rowsWritten).toBe(11); // docs/deploy.md says what that costs
});

/** Rows that the alarms behind the last eight of so many turns read. */
async function alarmsBehind(turns: number): Promise<number[]> {
  const loaded = await modelHost(env).load("fledgling-4m");
  const stub = env.CONVERSATIONS.get(env.CONVERSATIONS.newUniqueId());
  return runInDurableObject(stub, async (_, { storage }) => {
    const counters = newCounters();
    const object = testObject(durableSql(storage, counters), sourceOf(loaded, { tokensPerYield: 64 }));
    const rows: number[] = [];
    let parent: TurnRequest["parent"] = { kind: "root" };
    for (let turn = 0; turn < turns; turn++) {
      const asked = request(loaded.id, "And?", { parent, maxTokens: 1 });
      const [{ node }] = await finished(await object.open().turn(asked, { quiet: true }));
      parent = { kind: "node", node };
      await object.settled();
      Object.assign(counters, newCounters());
      await object.open().wake();
      rows.push(counters.rowsRead);
    }
    return rows.slice(-8);
  });
}

// Each read every state that was kept, twice, and all of their parts, to find nothing that could go.
test("seven alarms of eight read as little however many turns there were, the eighth what is kept", {
  timeout: 240_000,
}, async () => {
  const [few, many] = [await alarmsBehind(40), await alarmsBehind(400)];
  expect(many.slice(0, 7)).toStrictEqual(few.slice(0, 7));
  expect(many[7]).toBeLessThan(2 * few[7]);
  expect(few[7]).toBeGreaterThan(2 * few[0]);
});
