/** What deleting means to those who read on and go on: what is gone, what stays, what is told. */

import { beforeAll, expect, test } from "vitest";
import { findCheckpoint } from "../../shared/conversation/checkpoints.ts";
import type { ConversationCore } from "../../shared/conversation/conversation.ts";
import { eraseNodes } from "../../shared/conversation/erase.ts";
import { readMeta } from "../../shared/conversation/meta.ts";
import type { LoadedModel, ModelSource } from "../../shared/conversation/model-source.ts";
import { countIds } from "../../shared/conversation/token-log.ts";
import type { TurnRequest } from "../../shared/conversation/types.ts";
import { FaultPoints } from "./faults.ts";
import { finished, greedy, request, sourceOf, type TestObject, unwrap, user } from "./fixture.ts";
import { unnamedParts } from "./invariants.ts";
import { loadFledgling, withObject } from "./node-shell.ts";

let loaded: LoadedModel;
beforeAll(async () => {
  loaded = await loadFledgling();
});

const quiet = { quiet: true };

const turn = (options: Partial<TurnRequest> = {}): TurnRequest =>
  request(loaded.id, "Tell me a story.", { maxTokens: 4, ...options });

test("what an import replaced goes with its conversation; what another one shares stays", async () => {
  await withObject(sourceOf(loaded), async (object) => {
    const core = object.open();
    const { branch } = unwrap(await core.createBranch({ node: null, items: [], metadata: {} }));
    const say = async (content: string) => {
      const asked = turn({ parent: { kind: "branch", branch }, input: [{ role: "user", content }] });
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
    unwrap(await core.deleteBranch(fork.branch));
    expect(texts()).not.toContain("marimba");
    expect(object.forgotten).toBe(true);
  });
});

// What waited for a reply was counted as heard already when anything before it was deleted, and said once more.
test("system text is said once, whatever was deleted before it and whatever failed behind it", () =>
  withObject(sourceOf(loaded), async (object) => {
    const core = object.open();
    const rule = { role: "system", content: "Rhyme." } as const;
    const { branch } = unwrap(await core.createBranch({ node: null, items: [], metadata: {} }));
    const parent = { kind: "branch", branch } as const;
    const [first] = await finished(await core.turn(turn({ parent }), quiet));
    unwrap(await core.addItems(branch, [rule]));
    unwrap(await core.deleteItem(branch, first.node, 0));
    const [second] = await finished(await core.turn(turn({ parent, input: [user("Why?")] }), quiet));
    const system = (node: number) => object.sql.exec("SELECT system FROM node WHERE id = ?", node)[0].system;
    expect(system(second.node)).toBe("Rhyme.");

    const [failed] = await finished(await core.turn(turn({ input: [rule, user("Hello.")] }), quiet));
    object.sql.exec(
      "UPDATE node SET status = 'failed', error = '{}', kept = 0, output = NULL WHERE id = ?",
      failed.node,
    );
    object.sql.exec("DELETE FROM checkpoint WHERE node = ?", failed.node);
    const after = turn({ parent: { kind: "node", node: failed.node }, input: [user("Hello?")] });
    const [third] = await finished(await core.turn(after, quiet));
    expect(system(third.node)).toBe("Rhyme.");
  }));

// The reply was 500, sent again 404, and the empty object stayed with its row in the catalogue.
test("a deletion is answered though the tenant can't be told, and told when the object is woken", () =>
  withObject(sourceOf(loaded), async (object) => {
    const core = object.open();
    const { branch } = unwrap(await core.createBranch({ node: null, items: [user("marimba")], metadata: {} }));
    object.forgetting = Promise.reject(new Error("the tenant is away"));
    object.forgetting.catch(() => undefined);
    object.wakeTimes.length = 0;
    unwrap(await core.deleteBranch(branch));
    expect(object).toMatchObject({ forgotten: false, reports: [expect.stringContaining("the tenant is away")] });
    object.clock = Math.min(...object.wakeTimes);
    object.forgetting = Promise.resolve();
    await object.open().wake();
    expect(object.forgotten).toBe(true);
  }));

test("an empty conversation goes, though its object vanished right behind the commit of the deletion", async () => {
  const deletedWith = async (points: FaultPoints) => {
    let commit = -1;
    await withObject(sourceOf(loaded), async (object) => {
      const core = object.openWith(points);
      const { branch } = unwrap(await core.createBranch({ node: null, items: [user("marimba")], metadata: {} }));
      object.wakeTimes.length = 0;
      const before = points.passed.length;
      await core.deleteBranch(branch).catch(() => undefined);
      commit = points.passed.findIndex((what, at) => at >= before && what.startsWith("behind the commit of "));
      object.clock = Math.min(...object.wakeTimes);
      await object.open().wake();
      expect(object.forgotten).toBe(true);
    });
    return commit + 1;
  };
  const vanishing = new FaultPoints({ at: await deletedWith(new FaultPoints(null)), kind: "for ever" });
  await deletedWith(vanishing);
  expect(vanishing.hasFired).toBe(true);
});

// The turn went on with the system text of the moment when it came, erased meanwhile, and wrote it down again.
test("a turn does not bring back what was deleted while its model loaded", () => {
  const models = sourceOf(loaded);
  let isLoaded: Promise<void> = Promise.resolve();
  const slow: ModelSource = { ...models, load: (id) => isLoaded.then(() => models.load(id)) };
  return withObject(slow, async (object) => {
    const core = object.open();
    const rule = { role: "system", content: "xylophone" } as const;
    const { branch } = unwrap(await core.createBranch({ node: null, items: [], metadata: {} }));
    const parent = { kind: "branch", branch } as const;
    const [first] = await finished(await core.turn(turn({ parent, input: [rule, user("Hello.")] }), quiet));
    let go: () => void = () => undefined;
    isLoaded = new Promise((resolve) => {
      go = resolve;
    });
    const second = core.turn(turn({ parent }), quiet);
    unwrap(await core.deleteItem(branch, first.node, 0));
    go();
    await finished(await second);
    expect(JSON.stringify(object.sql.exec("SELECT * FROM node"))).not.toContain("xylophone");
  });
});

const endless = (options: Partial<TurnRequest>) =>
  turn({
    sampling: { ...greedy, logitBias: loaded.model.config.eosIds.map((id) => [id, -100] as const) },
    maxTokens: 3000,
    ...options,
  });

const pause = () => new Promise<void>((resolve) => setTimeout(resolve, 1));

/** Until the reply has begun. */
async function speaks(object: TestObject, node: number): Promise<void> {
  const [{ prompt }] = object.sql.exec("SELECT prompt_length AS prompt FROM node WHERE id = ?", node);
  while (countIds(object.sql, node) <= Number(prompt)) await pause();
}

const statusOf = ({ sql }: TestObject, node: number) =>
  sql.exec("SELECT status FROM node WHERE id = ?", node)[0].status;

// The one that began behind it, while the first was told to the tenant, kept its state: it had read what was deleted.
test.each<[string, (core: ConversationCore, branch: number, node: number) => Promise<{ ok: boolean }>]>([
  ["a response", (core, _, node) => core.deleteResponse(node)],
  ["a message", (core, branch, node) => core.deleteItem(branch, node, 0)],
])("with %s, replies that begin behind it while others are stopped are stopped too", async (_, remove) => {
  let answer: () => void = () => undefined;
  let told: Promise<void> = Promise.resolve();
  const slow = { note: () => told, forget: async () => undefined, forgetPrefixes: async () => undefined };
  await withObject(
    sourceOf(loaded),
    async (object) => {
      const core = object.open();
      const { branch } = unwrap(await core.createBranch({ node: null, items: [], metadata: {} }));
      const parent = { kind: "branch", branch } as const;
      const [{ node: first }] = unwrap(await core.turn(endless({ parent }), quiet)).responses;
      await speaks(object, first);
      told = new Promise((resolve) => {
        answer = resolve;
      });
      const deletion = remove(core, branch, first);
      while (statusOf(object, first) === "in_progress") await pause();
      const behind = endless({ parent: { kind: "node", node: first } });
      const [{ node: second }] = unwrap(await core.turn(behind, quiet)).responses;
      await speaks(object, second);
      answer();
      unwrap((await deletion) as Awaited<ReturnType<ConversationCore["deleteResponse"]>>);
      expect(statusOf(object, second)).toBe("cancelled");
      expect(object.sql.exec("SELECT node FROM checkpoint")).toStrictEqual([]);
      expect(unnamedParts(object.sql)).toStrictEqual([]);
    },
    { tenant: slow },
  );
});

type Removal = (core: ConversationCore, at: { branch: number; first: number; reply: number }) => Promise<unknown>;

// It was erased and still listed as running, or went on from what was gone. Nobody has to wait for room to delete.
test.each<[string, Removal, string]>([
  ["the reply", async (core, { reply }) => unwrap(await core.deleteResponse(reply)), "erased"],
  ["what it goes on from", async (core, { first }) => unwrap(await core.deleteResponse(first)), "failed"],
  ["a message before it", async (core, { branch, first }) => core.deleteItem(branch, first, 0).then(unwrap), "failed"],
  ["its conversation", async (core, { branch }) => unwrap(await core.deleteBranch(branch)), "gone"],
])("a reply that there is no room to end is over when %s is deleted", (_, remove, status) =>
  withObject(sourceOf(loaded, { places: 1 }), async (object) => {
    const before = object.open();
    const { branch } = unwrap(await before.createBranch({ node: null, items: [], metadata: {} }));
    const parent = { kind: "branch", branch } as const;
    const [{ node: first }] = await finished(await before.turn(turn({ parent }), quiet));
    const [{ node: reply }] = unwrap(await before.turn(endless({ parent }), quiet)).responses;
    await speaks(object, reply);
    await remove(object.open(), { branch, first, reply }); // the instance before computes on, and holds the only place
    expect(unnamedParts(object.sql)).toStrictEqual([]);
    const [found = { status: "gone", output: null }] = object.sql.exec(
      "SELECT status, output FROM node WHERE id = ?",
      reply,
    );
    expect(found).toMatchObject({ status });
    expect(typeof found.output).toBe(status === "failed" ? "string" : "object");
    expect(readMeta(object.sql)?.running ?? []).toStrictEqual([]);
    await object.settled();
    expect(object.sql.exec("SELECT node FROM checkpoint WHERE node = ?", reply)).toStrictEqual([]);
  }),
);

test.each([
  ["to its end", 40, 1e9],
  ["to the end of a segment", 3000, 40],
])("a reply whose beginning was deleted under it leaves no state when it comes %s", (_, maxTokens, segmentTokens) =>
  withObject(sourceOf(loaded), async (object) => {
    const core = object.open();
    const [first] = await finished(await core.turn(turn(), quiet));
    object.segmentTokens = segmentTokens;
    const parent = { kind: "node", node: first.node } as const;
    const [{ node }] = unwrap(await core.turn(endless({ parent, maxTokens }), quiet)).responses;
    await speaks(object, node);
    object.sql.transaction(() => eraseNodes(object.sql, [first.node]));
    while (statusOf(object, node) === "in_progress") await pause();
    expect(findCheckpoint(object.sql, node)).toBe(null);
  }),
);

// Whatever ran behind the deleted conversation's last response was cancelled, other conversations' replies too.
test("a conversation's deletion leaves a fork's reply alone", () =>
  withObject(sourceOf(loaded), async (object) => {
    const core = object.open();
    const { branch } = unwrap(await core.createBranch({ node: null, items: [], metadata: {} }));
    const [{ node }] = await finished(await core.turn(turn({ parent: { kind: "branch", branch } }), quiet));
    const fork = unwrap(await core.createBranch({ node, items: [], metadata: {} }));
    const parent = { kind: "branch", branch: fork.branch } as const;
    const reply = finished(await core.turn(endless({ parent, maxTokens: 60 }), quiet));
    unwrap(await core.deleteBranch(branch));
    expect(await reply).toMatchObject([{ status: "incomplete" }]);
  }));

// It ended with a TypeError, or with a file of what was gone.
test("an export that is overtaken by a deletion is refused", () =>
  withObject(sourceOf(loaded), async (object) => {
    let go: () => void = () => undefined;
    const hashed = new Promise<void>((resolve) => {
      go = resolve;
    });
    const faults = new FaultPoints(null);
    const core = object.openWith(faults, () => hashed);
    const { branch } = unwrap(await core.createBranch({ node: null, items: [], metadata: {} }));
    const asked = turn({ parent: { kind: "branch", branch } });
    const [{ node }] = await finished(await object.open().turn(asked, quiet));
    const exported = core.exportState(branch);
    while (!faults.passed.includes("digest")) await pause();
    unwrap(await core.deleteResponse(node));
    go();
    expect(await exported).toMatchObject({ ok: false, error: { status: 409, code: "no_state" } });
  }));
