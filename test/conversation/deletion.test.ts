/** What is deleted is gone with all that was computed from it, and nothing else is. */

import { beforeAll, expect, test } from "vitest";
import type { LoadedModel } from "../../shared/conversation/model-source.ts";
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

// A deleted response between hid what lives behind it: its beginning was erased too, and its state with it.
test("a conversation that is deleted leaves others what they need, across responses that were deleted before", () =>
  withObject(sourceOf(loaded), async (object) => {
    const core = object.open();
    const { branch } = unwrap(await core.createBranch({ node: null, items: [], metadata: {} }));
    const say = async (content: string) =>
      (await finished(await core.turn(turn({ parent: { kind: "branch", branch }, input: [user(content)] }), quiet)))[0];
    const beginning = await say("marimba");
    const between = await say("xylophone");
    await say("glockenspiel");
    const fork = unwrap(await core.createBranch({ node: beginning.node, items: [], metadata: {} }));
    unwrap(await core.deleteResponse(between.node));
    unwrap(await core.deleteBranch(fork.branch));
    const { items } = unwrap(await core.items(branch, { order: "asc", limit: 10 }));
    expect(items.flatMap(({ role, content }) => (role === "user" ? [content] : []))).toStrictEqual([
      "marimba",
      "glockenspiel",
    ]);
  }));

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
