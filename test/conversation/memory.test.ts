/** Whether a turn holds more in memory than its place counts. */

import { DatabaseSync } from "node:sqlite";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { nodeSql } from "../../cli/node-sql.ts";
import { turnNeeds } from "../../shared/conversation/model-source.ts";
import { freshModel } from "./bleed-model.ts";
import { FaultPoints } from "./faults.ts";
import { finished, greedy, request, sourceOf, testObject } from "./fixture.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

// Two were counted, five were held: of the state behind the prompt, before the stop string, at the end, its parts and itself.
test.each([1, 2])("copies of a state at a checkpoint, of a turn with %i replies and a stop string", async (choices) => {
  const copies: WeakRef<Uint8Array>[] = [];
  const loaded = await freshModel({ stateSlots: 2, maxTokens: 16 }, (backend) => ({
    ...backend,
    async readState(state) {
      const bytes = await backend.readState(state);
      copies.push(new WeakRef(bytes));
      return bytes;
    },
  }));
  const logitBias = loaded.model.config.eosIds.map((id) => [id, -100] as const);
  const asked = request(loaded.id, "Tell me a story.", { sampling: { ...greedy, logitBias }, maxTokens: 30, choices });
  const object = () => testObject(nodeSql(new DatabaseSync(":memory:")), sourceOf(loaded));
  const replies = await finished(await object().open().turn(asked, { quiet: true }));
  const stop = [`${replies.at(-1)?.output.at(-1)}\u0001\u0001`]; // may have begun when the last token was said

  copies.length = 0;
  let most = 0;
  const core = object().openWith(new FaultPoints(null), async () => {
    await new Promise((resolve) => setTimeout(resolve, 0));
    collect();
    most = Math.max(most, copies.filter((copy) => copy.deref()).length);
  });
  await finished(await core.turn({ ...asked, stop }, { quiet: true }));
  expect(copies.length).toBeGreaterThan(2 * choices - 1); // some were made before the stop string
  expect(most).toBeGreaterThan(0);
  expect(most).toBeLessThanOrEqual(turnNeeds(choices).states - 2); // besides the state itself, and the parts that are hashed
});
