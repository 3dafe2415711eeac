/** Whoever computes when a kernel traps throws the instance away. */

import { expect, test } from "vitest";
import { type LoadedModel, type ModelSource, turnNeeds } from "../../shared/conversation/model-source.ts";
import { freshModel, trapping } from "./bleed-model.ts";
import { finished, request, sourceOf, statelessRunner, type TestObject, unwrap } from "./fixture.ts";
import { withObject } from "./node-shell.ts";

/** An object with something said in it, and a model that traps at some kernel call after `arm`. */
async function withTrap(use: (object: TestObject, models: ModelSource, arm: () => void) => Promise<void>) {
  let left = Number.POSITIVE_INFINITY;
  const spoilt = await freshModel({ stateSlots: 2, maxTokens: 16 }, (backend) => trapping(backend, () => --left === 0));
  const sound = await freshModel({ stateSlots: 2, maxTokens: 16 });
  let current = spoilt;
  const discarded: LoadedModel[] = [];
  const models: ModelSource = {
    ...sourceOf(spoilt, { places: 1 }),
    load: async () => current,
    discard(loaded) {
      discarded.push(loaded);
      current = sound;
    },
  };
  await withObject(models, async (object) => {
    await use(object, models, () => {
      left = 7;
    });
    expect(discarded.map((one) => one === spoilt)).toStrictEqual([true]);
    models.admit(sound, turnNeeds(1)).release(); // its place is free again
  });
}

const hello = (model: string) => request(model, "Tell me a story.", { maxTokens: 4 });

test("a turn", () =>
  withTrap(async (object, models, arm) => {
    arm();
    const [reply] = await finished(await object.open().turn(hello((await models.load("")).id), { quiet: true }));
    expect(reply.status).toBe("incomplete"); // computed again
  }));

// Only turns threw it away: the next request computed with whatever the kernel had written over.
test("a request that keeps nothing", () =>
  withTrap(async (_, models, arm) => {
    const { parent: __, input, ...asked } = hello((await models.load("")).id);
    const runner = statelessRunner(models);
    const run = async () => {
      const prompt = { kind: "chat", instructions: null, input } as const;
      for await (const _ of runner.run({ ...asked, prompts: [prompt] }, new AbortController().signal));
    };
    arm();
    await expect(run()).rejects.toMatchObject({ name: "RuntimeError" });
    await run();
  }));

test("an export that has to rebuild its state", () =>
  withTrap(async (object, models, arm) => {
    const core = object.open();
    const { branch } = unwrap(await core.createBranch({ node: null, items: [], metadata: {} }));
    const asked = { ...hello((await models.load("")).id), parent: { kind: "branch", branch } as const };
    await finished(await core.turn(asked, { quiet: true }));
    object.sql.exec("DELETE FROM checkpoint");
    arm();
    await expect(core.exportState(branch)).rejects.toMatchObject({ name: "RuntimeError" });
    await unwrap(await core.exportState(branch)).cancel();
  }));
