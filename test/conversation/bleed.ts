/**
 * Does anything of one conversation get into another? Many of them share a model's memory, its few state slots, its arena
 * and one thread. Whoever yields goes on in a random order; turns are aborted, and taken over by a second instance of their
 * object; kernels trap in the middle of their work, whereupon the model is discarded and loaded anew under everybody who
 * computes with it, and now and then it is discarded for no reason. Every reply must be the one that the conversation gets
 * alone. `npm run test:bleed -- --interleavings 10000 --seed 1 --out bench/results/bleed.json`.
 */

import { writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { DatabaseSync } from "node:sqlite";
import { parseArgs } from "node:util";
import { nodeSql } from "../../cli/node-sql.ts";
import type { ConversationCore } from "../../shared/conversation/conversation.ts";
import type { ResponseRecord, TurnRequest } from "../../shared/conversation/types.ts";
import { seeded } from "../ops/seeded.ts";
import { freshModel, SharedModel } from "./bleed-model.ts";
import { finished, greedy, request, sampled, sourceOf, type TestObject, testObject, unwrap } from "./fixture.ts";

export interface BleedReport {
  readonly seed: number;
  /** Turns, each interleaved with those of others. */
  readonly interleavings: number;
  readonly aborted: number;
  readonly takenOver: number;
  /** Kernels that trapped; each time the model was discarded and loaded anew. */
  readonly traps: number;
  /** Models discarded without a trap, under running turns too. */
  readonly dropped: number;
  /** Computations that went on with an instance which was discarded already. */
  readonly outlived: number;
  readonly loads: number;
  /** Replies that were not the ones given alone: must be none. */
  readonly wrong: readonly string[];
}

const CONVERSATIONS = 24;
const REPLY_TOKENS = 10;
const TOGETHER = 6; // conversations that speak at the same time; the memory has room for one to three states

/** A conversation's lines. The canary is a word that only it says. */
function scriptOf(at: number): { lines: string[]; sampling: TurnRequest["sampling"] } {
  const canary = `zq${(at * 7919).toString(36)}x`;
  const lines = [`The word is ${canary}.`, "Tell me about the word.", `Why ${canary}?`, "And then?"];
  return { lines, sampling: at % 2 === 0 ? greedy : { ...sampled, seed: String(at) } };
}

export async function bleed(
  interleavings: number,
  seed: number,
  onProgress: (done: number) => unknown = () => undefined,
): Promise<BleedReport> {
  const random = seeded(seed);
  const alone = await repliesAlone();
  const model = new SharedModel(random);
  const counts = { interleavings: 0, aborted: 0, takenOver: 0 };
  const wrong: string[] = [];

  async function speak(at: number): Promise<void> {
    const database = new DatabaseSync(":memory:");
    const object = testObject(nodeSql(database), model);
    const { lines, sampling } = scriptOf(at);
    let parent = 0;
    for (const [turn, line] of lines.entries()) {
      await model.pause(Math.floor(8 * random()));
      const asked = ask(line, parent, sampling);
      if (random() < 0.2) {
        counts.aborted++;
        await abort(object.open(), asked, random, model);
      }
      const isTakenOver = random() < 0.15;
      if (isTakenOver) counts.takenOver++;
      const [reply] = await finished(await (isTakenOver ? takeOver : plainly)(object, asked, random, model));
      parent = reply.node;
      counts.interleavings++;
      if (told(reply) !== alone[at][turn])
        wrong.push(`conversation ${at}, turn ${turn}: ${told(reply)} instead of ${alone[at][turn]}`);
    }
    await object.settled();
    database.close();
  }

  while (counts.interleavings < interleavings) {
    const chosen = Array.from({ length: TOGETHER }, () => Math.floor(random() * CONVERSATIONS));
    await Promise.all(chosen.map(speak));
    onProgress(counts.interleavings);
  }
  return { seed, ...counts, ...model.counts, wrong };
}

/** Each conversation by itself, in a wasm instance of its own. */
async function repliesAlone(): Promise<string[][]> {
  const all: string[][] = [];
  for (let at = 0; at < CONVERSATIONS; at++) {
    const database = new DatabaseSync(":memory:");
    const object = testObject(nodeSql(database), sourceOf(await freshModel({ stateSlots: 2, maxTokens: 16 })));
    const { lines, sampling } = scriptOf(at);
    const replies: string[] = [];
    let parent = 0;
    for (const line of lines) {
      const [reply] = await finished(await object.open().turn(ask(line, parent, sampling), { quiet: true }));
      parent = reply.node;
      replies.push(told(reply));
    }
    await object.settled();
    database.close();
    all.push(replies);
  }
  return all;
}

const told = ({ status, output, usage }: ResponseRecord): string =>
  `${status} ${JSON.stringify(output)} ${usage?.inputTokens}`;

function ask(line: string, parent: number, sampling: TurnRequest["sampling"]): TurnRequest {
  const after: TurnRequest["parent"] = parent === 0 ? { kind: "root" } : { kind: "node", node: parent };
  return request("fledgling", line, { parent: after, sampling, maxTokens: REPLY_TOKENS });
}

type Say = (
  object: TestObject,
  asked: TurnRequest,
  random: () => number,
  model: SharedModel,
) => ReturnType<ConversationCore["turn"]>;

const plainly: Say = (object, asked) => object.open().turn(asked, { quiet: true });

/** A second instance of the object goes on with the turn while the first one still computes it. */
const takeOver: Say = async (object, asked, random, model) => {
  const begun = unwrap(await object.open().turn(asked, { quiet: true }));
  await model.pause(Math.floor(12 * random()));
  const [{ node }] = begun.responses;
  const events = unwrap(await object.open().events(node, { quiet: true }));
  await begun.events.cancel();
  return { ok: true, value: { ...begun, events } };
};

/** Begins a turn and leaves it after a while: its reader goes away, or it is cancelled. */
async function abort(
  core: ConversationCore,
  asked: TurnRequest,
  random: () => number,
  model: SharedModel,
): Promise<void> {
  const { responses, events } = unwrap(await core.turn({ ...asked, whenUnread: "stop" }, { quiet: false }));
  await model.pause(Math.floor(12 * random()));
  if (random() < 0.5) await events.cancel();
  else await core.cancel(responses[0].node);
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      interleavings: { type: "string", default: "10000" },
      seed: { type: "string", default: "1" },
      out: { type: "string" },
    },
  });
  const start = performance.now();
  const report = await bleed(Number(values.interleavings), Number(values.seed), (done) => {
    if (process.stderr.isTTY) process.stderr.write(`\r${done} turns`);
  });
  const seconds = Math.round((performance.now() - start) / 1000);
  const date = new Date().toISOString().slice(0, 10);
  const text = `${JSON.stringify({ machine: cpus()[0].model, cores: cpus().length, date, seconds, ...report }, null, 2)}\n`;
  if (values.out !== undefined) await writeFile(values.out, text);
  process.stdout.write(text);
  process.exitCode = report.wrong.length === 0 ? 0 : 1;
}
