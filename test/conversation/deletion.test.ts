/** What deleting means to those who read on and go on: what is gone, what stays, what is told. */

import { beforeAll, expect, test } from "vitest";
import type { LoadedModel, ModelSource } from "../../shared/conversation/model-source.ts";
import type { TurnRequest } from "../../shared/conversation/types.ts";
import { finished, request, sourceOf, unwrap, user } from "./fixture.ts";
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
