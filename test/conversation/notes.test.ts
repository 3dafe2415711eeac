/** What a conversation tells its tenant, in whatever order it arrives, and whatever the clock says. */

import { beforeAll, expect, test } from "vitest";
import { nodeSql } from "../../cli/node-sql.ts";
import type { LoadedModel } from "../../shared/conversation/model-source.ts";
import { TenantStore } from "../../shared/conversation/tenant-store.ts";
import { finished, OBJECT, request, sourceOf, type TestObject, unwrap } from "./fixture.ts";
import { emptyDatabase, loadFledgling, withObject } from "./node-shell.ts";

const NOON = 1_800_000_000_000;
const DAY = 24 * 3600 * 1000;

let loaded: LoadedModel;
beforeAll(async () => {
  loaded = await loadFledgling();
});

/** A turn, and two conversations that begin at its response. */
async function changeThrice(object: TestObject, isDue: (step: number) => void = () => undefined): Promise<void> {
  const core = object.open();
  isDue(0);
  const [{ node }] = await finished(await core.turn(request(loaded.id, "Hi.", { maxTokens: 2 }), { quiet: true }));
  await object.settled();
  isDue(1);
  unwrap(await core.createBranch({ node, items: [], metadata: {} }));
  isDue(2);
  unwrap(await core.createBranch({ node, items: [], metadata: {} }));
}

// Whole seconds were compared: a turn's note that came behind that of a fork took the fork off the lists, and a day later the
// object out of the catalogue, by which everything is exported and erased.
test.each([
  ["in the millisecond in which all of it happens", [0, 0, 0]],
  ["while the clock goes back", [2000, 1000, 0]],
])("notes that arrive the wrong way round leave what the last one says: %s", (_, offsets) =>
  withObject(sourceOf(loaded), async (object) => {
    await changeThrice(object, (step) => {
      object.clock = NOON + offsets[step];
    });
    const order = object.notes.map(({ updatedAt }) => updatedAt);
    expect(order).toStrictEqual([...new Set(order)].sort((a, b) => a - b));
    const clock = { now: NOON };
    const store = new TenantStore(nodeSql(emptyDatabase()), { now: () => clock.now, wakeAt: () => undefined });
    await store.register(OBJECT);
    for (const note of object.notes.toReversed()) await store.note(note);
    const listed = async () => {
      const { conversations } = await store.conversations({ limit: 9, order: "asc" });
      return conversations.map(({ branch }) => branch).sort();
    };
    expect(await listed()).toStrictEqual([1, 2]);
    clock.now += 2 * DAY;
    store.sweep();
    expect(await store.objects(null, 9)).toStrictEqual([OBJECT]);
    expect(await listed()).toStrictEqual([1, 2]);
  }),
);

test("rows that were written when whole seconds were compared give way to what is told now", async () => {
  const books = nodeSql(emptyDatabase());
  const tenant = new TenantStore(books, { now: () => NOON, wakeAt: () => undefined });
  await withObject(
    sourceOf(loaded),
    async (object) => {
      object.clock = NOON;
      await changeThrice(object);
      object.sql.exec("UPDATE meta SET updated_at = ?", NOON / 1000 + 60);
      books.exec("UPDATE catalogue SET updated_at = ?", NOON / 1000 + 60);
      unwrap(await object.open().deleteBranch(1));
      expect((await tenant.conversations({ limit: 9, order: "asc" })).conversations).toMatchObject([{ branch: 2 }]);
    },
    { tenant },
  );
});
