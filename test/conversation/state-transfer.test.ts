/** States that leave a conversation in a file and come back: what they hold, what replaces them where they are damaged. */

import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { type FoundCheckpoint, findCheckpoint } from "../../shared/conversation/checkpoints.ts";
import type { ConversationCore } from "../../shared/conversation/conversation.ts";
import type { LoadedModel } from "../../shared/conversation/model-source.ts";
import { PAUSE_SECONDS } from "../../shared/conversation/patience.ts";
import type { Sql } from "../../shared/conversation/sql.ts";
import { readStateFile, writeStateFile } from "../../shared/conversation/state-file.ts";
import type { TurnRequest } from "../../shared/conversation/types.ts";
import { digest, finished, request, sign, sourceOf, unwrap, user } from "./fixture.ts";
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

const bytesOf = async (file: ReadableStream<Uint8Array>) => Buffer.from(await new Response(file).arrayBuffer());
const fileOf = (bytes: Uint8Array) => new Response(bytes.slice()).body as ReadableStream<Uint8Array>;

/** Of a node's checkpoint. Returns what mends it. */
function damage(sql: Sql, node: number): () => void {
  const { recurrent } = findCheckpoint(sql, node) as FoundCheckpoint;
  const parts = recurrent.map((id) => sql.exec("SELECT id, bytes FROM part WHERE id = ?", id)[0]);
  for (const { id } of parts) sql.exec("UPDATE part SET bytes = zeroblob(length(bytes)) WHERE id = ?", id);
  return () => {
    for (const { id, bytes } of parts) sql.exec("UPDATE part SET bytes = ? WHERE id = ?", bytes, id);
  };
}

/** A conversation of some exchanges: its branch, its nodes, its newest state as a file. */
async function talk(core: ConversationCore, lines: readonly string[], start?: Uint8Array) {
  const { branch } = unwrap(await core.createBranch({ node: null, items: [], metadata: {} }));
  if (start) unwrap(await core.importState(branch, fileOf(start)));
  const nodes: number[] = [];
  for (const line of lines) {
    const asked = turn({ parent: { kind: "branch", branch }, input: [user(line)] });
    nodes.push((await finished(await core.turn(asked, { quiet: true })))[0].node);
  }
  return { branch, nodes, file: await bytesOf(unwrap(await core.exportState(branch))) };
}

/** A file without some of what it may lack. */
async function without(name: "log" | "items", file: Uint8Array): Promise<Uint8Array> {
  const { sections, header } = await readStateFile(fileOf(file), {
    tenant: "default",
    sign,
    digest,
    layoutOf: async () => loaded.model.stateLayout,
  });
  const { sections: _, ...rest } = header;
  const kept = Object.entries(sections).filter(([section]) => section !== name);
  return Buffer.concat(await writeStateFile(rest, kept as Parameters<typeof writeStateFile>[1], digest, sign));
}

// Behind one of more than 1.5 MB of messages no turn was possible: "the conversation has no user message".
test("a state goes on without the messages that made it", () =>
  withObject(sourceOf(loaded), async (object) => {
    const core = object.open();
    const { file, branch } = await talk(core, ["marimba", "xylophone"]);
    const { branch: copy } = await talk(core, [], await without("items", file));
    const [[a], [b]] = await Promise.all(
      [branch, copy].map(async (line) =>
        finished(await core.turn(turn({ parent: { kind: "branch", branch: line } }), { quiet: true })),
      ),
    );
    expect(b).toMatchObject({ output: a.output, usage: a.usage });
  }));

// Messages alone were believed: those that a file left out took the system text along when anything behind it was deleted.
test("system text that came with a state stays when something behind it is deleted", () =>
  withObject(sourceOf(loaded), async (object) => {
    const core = object.open();
    const rule = { role: "system", content: "Rhyme." } as const;
    const { branch } = unwrap(await core.createBranch({ node: null, items: [rule], metadata: {} }));
    await finished(await core.turn(turn({ parent: { kind: "branch", branch } }), { quiet: true }));
    const file = await without("items", await bytesOf(unwrap(await core.exportState(branch))));
    const copy = await talk(core, ["marimba", "xylophone"], file);
    unwrap(await core.deleteItem(copy.branch, copy.nodes[0], 0));
    const [{ node }] = await finished(
      await core.turn(turn({ parent: { kind: "branch", branch: copy.branch } }), { quiet: true }),
    );
    expect(object.sql.exec("SELECT system FROM node WHERE id = ?", node)).toMatchObject([{ system: "Rhyme." }]);
  }));

describe("a state that was lost", () => {
  // Replay began at position 0 behind an import that has no ids there: a file with a valid MAC and another state in it.
  test("is rebuilt from the nearest one before it, which may have come in a file", () =>
    withObject(sourceOf(loaded), async (object) => {
      const core = object.open();
      const start = await without("log", (await talk(core, ["marimba", "xylophone"])).file);
      const { branch, nodes, file } = await talk(core, ["glockenspiel", "And?"], start);
      for (const node of nodes) damage(object.sql, node);
      expect((await bytesOf(unwrap(await core.exportState(branch)))).equals(file)).toBe(true);
      await core.wake(); // takes away what is damaged
    }));

  test("and can't be rebuilt says so, in an export and in a turn", () =>
    withObject(sourceOf(loaded), async (object) => {
      const core = object.open();
      const start = await without("log", (await talk(core, ["marimba", "xylophone"])).file);
      const { branch, nodes } = await talk(core, ["glockenspiel"], start);
      const mend = [nodes[0] - 1, nodes[0]].map((node) => damage(object.sql, node));
      const lost = { code: "state_lost", message: expect.stringContaining("damaged and has no log") };
      expect(await core.exportState(branch)).toMatchObject({ ok: false, error: { status: 500, ...lost } });
      const [after] = await finished(await core.turn(turn({ parent: { kind: "branch", branch } }), { quiet: true }));
      expect(after).toMatchObject({ status: "failed", error: { message: lost.message } });
      for (const undo of mend) undo();
      await core.wake(); // takes away what was dropped
    }));

  test("with ids of its log is not made up from those that are left", () =>
    withObject(sourceOf(loaded), async (object) => {
      const core = object.open();
      const { branch, nodes } = await talk(core, ["marimba", "xylophone"]);
      object.sql.exec("DELETE FROM checkpoint");
      const [row] = object.sql.exec("SELECT MAX(id) AS id, ids FROM log WHERE id < ?", nodes[1] * 2 ** 22);
      object.sql.exec("DELETE FROM log WHERE id = ?", row.id);
      const lost = { code: "state_lost", message: expect.stringMatching(/damaged: expected \d+ ids, found \d+/) };
      expect(await core.exportState(branch)).toMatchObject({ ok: false, error: { status: 500, ...lost } });
      object.sql.exec("INSERT INTO log (id, ids) VALUES (?, ?)", row.id, row.ids);
    }));

  // A replay of a million tokens was one event of compute, which the platform ends.
  test("is rebuilt in segments by those who ask for it, in one instance after the other", () =>
    withObject(sourceOf(loaded), async (object) => {
      const { branch, file } = await talk(object.open(), ["marimba", "xylophone", "glockenspiel"]);
      object.sql.exec("DELETE FROM checkpoint");
      object.segmentTokens = 12;
      for (let asked = 1; ; asked++) {
        const answer = await object.open().exportState(branch);
        if (answer.ok) {
          expect((await bytesOf(answer.value)).equals(file)).toBe(true);
          expect(asked).toBeGreaterThan(3);
          return;
        }
        expect(answer).toMatchObject({ error: { status: 503, code: "state_rebuilding", retryAfterSeconds: 1 } });
        expect(answer.error.message).toContain(`${12 * asked} of`);
      }
    }));
});

describe("a file that takes its time", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  /** Piece after piece, with a pause before each. */
  const trickle = (bytes: Uint8Array, size: number, pauseMs: number) => {
    const sent = { bytes: 0, isCancelled: false };
    const stream = new ReadableStream<Uint8Array>({
      async pull(controller) {
        await new Promise<void>((resolve) => setTimeout(resolve, pauseMs));
        if (sent.bytes === bytes.length) return controller.close();
        const piece = bytes.subarray(sent.bytes, sent.bytes + size);
        sent.bytes += piece.length;
        controller.enqueue(piece.slice());
      },
      cancel() {
        sent.isCancelled = true;
      },
    });
    return { stream, sent };
  };

  // A valid header and a body that trickled held a place for as long as it pleased.
  test("keeps its place for as long as was said, and no longer", () =>
    withObject(sourceOf(loaded, { places: 1 }), async (object) => {
      vi.useRealTimers();
      const core = object.open();
      const { branch, file } = await talk(core, ["marimba"]);
      vi.useFakeTimers();

      const imported = core.importState(branch, trickle(file, Math.ceil(file.length / 5), 9000).stream);
      await vi.advanceTimersByTimeAsync(1000 * PAUSE_SECONDS);
      expect(await imported).toMatchObject({ ok: true });

      const { stream, sent } = trickle(file, 40, 9000);
      const refused = core.importState(branch, stream);
      await vi.advanceTimersByTimeAsync(1000 * (PAUSE_SECONDS + 1));
      expect(await refused).toMatchObject({ ok: false, error: { status: 408, code: "client_too_slow" } });
      expect(sent.isCancelled).toBe(true);
      vi.useRealTimers();
      expect(await bytesOf(unwrap(await core.exportState(branch)))).toHaveLength(file.length);
    }));
});
