/** States that leave a conversation in a file and come back: what they hold, what replaces them where they are damaged. */

import { beforeAll, expect, test } from "vitest";
import type { LoadedModel } from "../../shared/conversation/model-source.ts";
import type { TurnRequest } from "../../shared/conversation/types.ts";
import { finished, request, sourceOf, unwrap } from "./fixture.ts";
import { loadFledgling, withObject } from "./node-shell.ts";

let loaded: LoadedModel;
beforeAll(async () => {
  loaded = await loadFledgling();
});

const turn = (options: Partial<TurnRequest> = {}): TurnRequest =>
  request(loaded.id, "Tell me a story.", { maxTokens: 4, ...options });

test("an import into a conversation that has moved on is refused and leaves nothing behind", async () => {
  await withObject(sourceOf(loaded), async (object) => {
    const core = object.open();
    const { branch } = unwrap(await core.createBranch({ node: null, items: [], metadata: {} }));
    const parent = { kind: "branch", branch } as const;
    await finished(await core.turn(turn({ parent }), { quiet: true }));
    const pieces: Uint8Array[] = [];
    for await (const piece of unwrap(await core.exportState(branch))) pieces.push(piece);
    const slowly = new ReadableStream<Uint8Array>({
      async pull(controller) {
        const piece = pieces.shift();
        // While the file arrives, someone else goes on with the conversation.
        if (pieces.length === 1) await finished(await core.turn(turn({ parent }), { quiet: true }));
        if (piece) controller.enqueue(piece);
        else controller.close();
      },
    });
    const refused = await core.importState(branch, slowly);
    expect(refused).toMatchObject({ ok: false, error: { status: 409, code: "conversation_busy" } });
    expect(object.sql.exec("SELECT id FROM node")).toHaveLength(2);
  });
});
