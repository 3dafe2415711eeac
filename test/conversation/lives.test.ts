/** A turn that outlives its instances: what it keeps, what it owes its readers, and when it may be given up or erased. */

import { beforeAll, expect, test } from "vitest";
import { type FoundCheckpoint, findCheckpoint } from "../../shared/conversation/checkpoints.ts";
import type { LoadedModel } from "../../shared/conversation/model-source.ts";
import { Bell } from "../../shared/conversation/readers.ts";
import { countIds } from "../../shared/conversation/token-log.ts";
import type { TurnRequest } from "../../shared/conversation/types.ts";
import { FaultPoints } from "./faults.ts";
import { allEvents, finished, request, sampled, sourceOf, type TestObject, unwrap, user } from "./fixture.ts";
import { loadFledgling, withObject } from "./node-shell.ts";

let loaded: LoadedModel;
beforeAll(async () => {
  loaded = await loadFledgling();
});

function turn(options: Partial<TurnRequest> = {}): TurnRequest {
  const logitBias = loaded.model.config.eosIds.map((id) => [id, -100] as const);
  return request(loaded.id, "Tell me a story.", { sampling: { ...sampled, logitBias }, maxTokens: 600, ...options });
}

/** Reads on in a new instance until the log has `ids` more ids; that instance is then forgotten. */
async function liveFor(object: TestObject, node: number, ids: number): Promise<void> {
  const before = countIds(object.sql, node);
  unwrap(await object.open().response(node)); // any call takes the turn over
  while (countIds(object.sql, node) < before + ids) await new Promise((resolve) => setTimeout(resolve, 1));
}

test("a turn that says more in every life is never given up: eight lives were once three too many", () =>
  withObject(sourceOf(loaded), async (object) => {
    const [whole] = await finished(await object.open().turn(turn(), { quiet: true }));
    const [{ node }] = unwrap(await object.open().turn(turn(), { quiet: true })).responses;
    for (let life = 0; life < 8; life++) await liveFor(object, node, 32);
    const events = await allEvents(unwrap(await object.open().events(node, { quiet: true })));
    expect(events).toMatchObject([{ type: "end", response: { status: "incomplete", output: whole.output } }]);
  }));

test("a response that is given up keeps the text that its readers saw, and nobody continues it", () =>
  withObject(sourceOf(loaded), async (object) => {
    const [{ node }] = unwrap(await object.open().turn(turn(), { quiet: true })).responses;
    await liveFor(object, node, 64);
    object.sql.exec("UPDATE node SET epoch = epoch + 1, attempts = 5 WHERE id = ?", node); // as after five more deaths
    const events = await allEvents(unwrap(await object.open().events(node, { quiet: false })));
    const text = events.flatMap((event) => (event.type === "text" ? [event.text] : [])).join("");
    expect(text).not.toBe("");
    expect(events.at(-1)).toMatchObject({ type: "end", response: { status: "failed", output: text } });
    const next = turn({ parent: { kind: "node", node }, maxTokens: 4 });
    const [{ input, usage }] = await finished(await object.open().turn(next, { quiet: true }));
    expect(input).toHaveLength(1);
    const [{ usage: fresh }] = await finished(
      await object.open().turn(turn({ input: [...turn().input, ...next.input], maxTokens: 4 }), { quiet: true }),
    );
    expect(usage?.inputTokens).toBe(fresh?.inputTokens); // what failed is no message
  }));

test("a turn that comes while an expired conversation is being erased is refused, not acknowledged and wiped", () =>
  withObject(sourceOf(loaded), async (object) => {
    const conversation = object.open();
    const [{ node, createdAt }] = await finished(await conversation.turn(turn({ maxTokens: 4 }), { quiet: true }));
    object.clock = 1000 * (createdAt + 24 * 3600) + 1;
    let isForgotten: () => void = () => undefined;
    object.forgetting = new Promise((resolve) => {
      isForgotten = resolve;
    });
    const waking = conversation.wake();
    const late = await conversation.turn(turn({ maxTokens: 4 }), { quiet: true });
    expect(late).toMatchObject({ ok: false, error: { status: 409, retryAfterSeconds: 1 } });
    const behind = turn({ parent: { kind: "node", node }, maxTokens: 4 });
    expect(await conversation.turn(behind, { quiet: true })).toMatchObject({ ok: false, error: { status: 404 } });
    expect(await conversation.createBranch({ node, items: [], metadata: {} })).toMatchObject({ ok: false });
    isForgotten();
    await waking;
    expect(object.forgotten).toBe(true);
  }));

test("a cancel that finds no room to write its end is refused, not promised and forgotten", () => {
  const models = sourceOf(loaded, { places: 1 });
  return withObject(models, async (object) => {
    const [{ node }] = unwrap(await object.open().turn(turn(), { quiet: true })).responses;
    const successor = object.open(); // the first instance computes on, unheard, and holds the only place
    expect(await successor.cancel(node)).toMatchObject({ ok: false, error: { status: 429, retryAfterSeconds: 1 } });
    await object.settled();
    const other = unwrap(await object.open().turn(turn(), { quiet: true })).responses[0];
    expect(unwrap(await object.open().response(other.node)).status).toBe("in_progress");
  });
});

test("a turn that is cancelled in the middle of its prompt leaves a state there, and the next goes on from it", () =>
  withObject(sourceOf(loaded), async (object) => {
    object.segmentTokens = 32;
    const long = turn({ input: [user(Array(60).fill("marimba").join(" "))] });
    const core = object.open();
    const [{ node }] = unwrap(await core.turn(long, { quiet: true })).responses;
    while (findCheckpoint(object.sql, node) === null) await new Promise((resolve) => setTimeout(resolve, 1));
    const cancelled = unwrap(await core.cancel(node));
    const { position } = findCheckpoint(object.sql, node) as FoundCheckpoint;
    const { inputTokens = 0, outputTokens, processedTokens } = cancelled.usage ?? {};
    expect(position).toBeLessThan(inputTokens);
    expect({ outputTokens, processedTokens }).toStrictEqual({ outputTokens: 0, processedTokens: position });
    const next = turn({ parent: { kind: "node", node }, maxTokens: 4 });
    const [resumed] = await finished(await core.turn(next, { quiet: true }));
    expect(resumed.usage?.cachedTokens).toBe(position);
    object.sql.exec("DELETE FROM checkpoint");
    const [replayed] = await finished(await core.turn(next, { quiet: true }));
    expect(resumed.output).toBe(replayed.output);
  }));

test("a message that is added while a reply is written comes behind the whole of it, or is refused", () =>
  withObject(sourceOf(loaded), async (object) => {
    const core = object.open();
    const { branch } = unwrap(await core.createBranch({ node: null, items: [], metadata: {} }));
    const parent = { kind: "branch", branch } as const;
    const [{ node }] = unwrap(await core.turn(turn({ parent, maxTokens: 400 }), { quiet: true })).responses;
    const added = await core.addItems(branch, [user("By the way, it rains.")]);
    if (added.ok) expect(unwrap(await core.response(node)).status).not.toBe("in_progress");
    else expect(added.error).toMatchObject({ status: 409, code: "conversation_busy" });
  }));

test("a conversation that is deleted while a reply is written stops writing", () =>
  withObject(sourceOf(loaded), async (object) => {
    const core = object.open();
    const { branch } = unwrap(await core.createBranch({ node: null, items: [], metadata: {} }));
    const parent = { kind: "branch", branch } as const;
    const [{ node }] = unwrap(await core.turn(turn({ parent, maxTokens: 4000 }), { quiet: true })).responses;
    unwrap(await core.deleteBranch(branch));
    expect(object.forgotten).toBe(true);
    expect(countIds(object.sql, node)).toBe(0);
    expect(object.reports).toStrictEqual([]);
  }));

test("an instance that was replaced between two choices does not begin the second with its successor's lease", async () => {
  const asked = turn({ maxTokens: 40, choices: 2 });
  let at = 3; // behind the schema
  for (let hasFired = true; hasFired; at += 7) {
    await withObject(sourceOf(loaded), async (object) => {
      const replace = () => void Promise.resolve().then(() => object.open().response(1));
      const faults = new FaultPoints({ at, kind: replace });
      await object.openWith(faults).turn(asked, { quiet: true });
      await object.settled();
      expect(object.reports, `replaced at point ${at}`).toStrictEqual([]); // once: UNIQUE constraint failed: log.id
      hasFired = faults.hasFired;
    });
  }
  expect(at).toBeGreaterThan(40);
});

test("a reader who has what it came for waits no longer: the bell once kept every one of them", () => {
  const bell = new Bell();
  for (let i = 0; i < 100; i++) bell.wait(1).stop();
  expect(bell.waiting).toBe(0);
  const { stop } = bell.wait(1);
  expect(bell.waiting).toBe(1);
  stop();
});
