/** Databases of earlier versions: what is in them goes on. */

import { beforeAll, expect, test } from "vitest";
import { readMeta } from "../../shared/conversation/meta.ts";
import type { LoadedModel } from "../../shared/conversation/model-source.ts";
import { finished, request, sourceOf, unwrap } from "./fixture.ts";
import { checkInvariants } from "./invariants.ts";
import { loadFledgling, withObject } from "./node-shell.ts";

let loaded: LoadedModel;
beforeAll(async () => {
  loaded = await loadFledgling();
});

test("a conversation from before its checkpoints were counted goes on, and is looked at once", () =>
  withObject(sourceOf(loaded), async (object) => {
    const { branch } = unwrap(await object.open().createBranch({ node: null, items: [], metadata: {} }));
    const say = async (text: string) => {
      const asked = request(loaded.id, text, { maxTokens: 2, parent: { kind: "branch", branch } });
      const [{ status }] = await finished(await object.open().turn(asked, { quiet: true }));
      await object.settled();
      return status;
    };
    await say("Hi.");
    object.sql.exec("ALTER TABLE meta DROP COLUMN uncollected");
    expect(await say("And then?")).toBe("incomplete"); // of two tokens
    expect(readMeta(object.sql)?.uncollected).toBeGreaterThanOrEqual(8);
    await object.open().wake();
    expect(readMeta(object.sql)?.uncollected).toBe(0);
    expect(checkInvariants(object.sql, loaded)).toStrictEqual([]);
  }));
