/**
 * Does anything of one conversation get into another? Many of them share a model's memory, its few state slots, its arena
 * and one thread. Whoever yields goes on in a random order; turns are aborted, and taken over by a second instance of their
 * object; requests that keep nothing compute among them; kernels trap in the middle of their work, whereupon the model is
 * discarded and loaded anew under everybody who computes with it, and now and then it is discarded for no reason. Every
 * reply must be the one that the conversation gets alone. `npm run test:bleed -- --interleavings 10000 --seed 1 --out bench/results/bleed.json`.
 */

import { writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { DatabaseSync } from "node:sqlite";
import { parseArgs } from "node:util";
import { nodeSql } from "../../cli/node-sql.ts";
import type { ConversationCore } from "../../shared/conversation/conversation.ts";
import type { StatelessRunner } from "../../shared/conversation/stateless-types.ts";
import { isTrap } from "../../shared/conversation/traps.ts";
import type { Answer, BegunTurn, InputItem, ResponseRecord, TurnRequest } from "../../shared/conversation/types.ts";
import type { AerieError } from "../../shared/errors.ts";
import { seeded } from "../ops/seeded.ts";
import { freshModel, SharedModel } from "./bleed-model.ts";
import {
  finished,
  greedy,
  request,
  sampled,
  sourceOf,
  statelessRunner,
  type TestObject,
  testObject,
  unwrap,
  user,
} from "./fixture.ts";

export interface BleedReport {
  readonly seed: number;
  /** Turns, each interleaved with those of others. */
  readonly interleavings: number;
  readonly aborted: number;
  readonly takenOver: number;
  /** Turns that were asked for beside their conversation as well, by a request that keeps nothing. */
  readonly passing: number;
  /** Traps that such requests met: the client is told, and asks again. */
  readonly passingTraps: number;
  /** Kernels that trapped; each time the model was discarded and loaded anew. */
  readonly traps: number;
  /** Times that a model was handed out again although a kernel of its had trapped: must be none. */
  readonly reused: number;
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
  const counts = { interleavings: 0, aborted: 0, takenOver: 0, passing: 0, passingTraps: 0 };
  const stateless = statelessRunner(model);
  const wrong: string[] = [];

  async function speak(at: number): Promise<void> {
    const database = new DatabaseSync(":memory:");
    const object = testObject(nodeSql(database), model);
    const { lines, sampling } = scriptOf(at);
    const said: InputItem[] = [];
    let parent = 0;
    for (const [turn, line] of lines.entries()) {
      said.push(user(line));
      if (random() < 0.3) {
        counts.passing++;
        const reply = await passing(stateless, at, said, {
          leaves: random() < 0.2,
          onTrap: () => counts.passingTraps++,
        });
        check(`${at}, beside turn`, turn, reply, alone[at].passing);
      }
      await model.pause(Math.floor(8 * random()));
      const asked = ask(line, parent, sampling);
      if (random() < 0.2) {
        counts.aborted++;
        await abort(object.open(), asked, random, model);
      }
      const isTakenOver = random() < 0.15;
      if (isTakenOver) counts.takenOver++;
      const reply = await heard(object, await (isTakenOver ? takeOver : plainly)(object, asked, random, model));
      parent = reply.node;
      said.push({ role: "assistant", content: reply.output });
      counts.interleavings++;
      check(`${at}, turn`, turn, reply, alone[at].replies);
    }
    await object.settled();
    database.close();
  }

  function check(where: string, turn: number, reply: ResponseRecord, expected: readonly string[]): void {
    if (told(reply) !== expected[turn])
      wrong.push(`conversation ${where} ${turn}: ${told(reply)} instead of ${expected[turn]}`);
  }

  while (counts.interleavings < interleavings) {
    const chosen = Array.from({ length: TOGETHER }, () => Math.floor(random() * CONVERSATIONS));
    await Promise.all(chosen.map(speak));
    onProgress(counts.interleavings);
  }
  return { seed, ...counts, ...model.counts, wrong };
}

interface Alone {
  readonly replies: readonly string[];
  /** To the same messages where nothing is kept: a reply is encoded again there, and not always as the model said it. */
  readonly passing: readonly string[];
}

/** Each conversation by itself, in a wasm instance of its own. */
async function repliesAlone(): Promise<Alone[]> {
  const all: Alone[] = [];
  for (let at = 0; at < CONVERSATIONS; at++) {
    const database = new DatabaseSync(":memory:");
    const models = sourceOf(await freshModel({ stateSlots: 2, maxTokens: 16 }));
    const stateless = statelessRunner(models);
    const object = testObject(nodeSql(database), models);
    const { lines, sampling } = scriptOf(at);
    const [replies, besides]: [string[], string[]] = [[], []];
    const said: InputItem[] = [];
    let parent = 0;
    for (const line of lines) {
      said.push(user(line));
      besides.push(told(await passing(stateless, at, said)));
      const [reply] = await finished(await object.open().turn(ask(line, parent, sampling), { quiet: true }));
      parent = reply.node;
      replies.push(told(reply));
      said.push({ role: "assistant", content: reply.output });
    }
    await object.settled();
    database.close();
    all.push({ replies, passing: besides });
  }
  return all;
}

/** The reply to a whole conversation, kept nowhere. It is asked for again after a trap, or where a first reader leaves. */
async function passing(
  stateless: StatelessRunner,
  at: number,
  input: readonly InputItem[],
  { leaves, onTrap }: { readonly leaves: boolean; readonly onTrap: () => unknown } = {
    leaves: false,
    onTrap: () => {},
  },
): Promise<ResponseRecord> {
  const { parent: _, input: __, ...asked } = request("fledgling", [], { maxTokens: REPLY_TOKENS });
  const prompt = { kind: "chat", instructions: null, input } as const;
  const { sampling } = scriptOf(at);
  for (let mayLeave = leaves; ; mayLeave = false) {
    try {
      for await (const event of stateless.run(
        { ...asked, prompts: [prompt], sampling },
        new AbortController().signal,
      )) {
        if (event.type === "end") return event.response;
        if (mayLeave && event.type === "text") break;
      }
    } catch (error) {
      if (!isTrap(error)) throw error;
      onTrap();
    }
  }
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

/** The reply. Whoever reads joins again where another instance goes on: the first one may have taken its turn back after a trap. */
async function heard(object: TestObject, turn: Answer<BegunTurn>): Promise<ResponseRecord> {
  const begun = unwrap(turn);
  for (let { events } = begun; ; ) {
    try {
      const [reply] = await finished({ ok: true, value: { ...begun, events } });
      return reply;
    } catch (error) {
      if ((error as AerieError).code !== "conversation.lease") throw error;
      events = unwrap(await object.open().events(begun.responses[0].node, { quiet: true }));
    }
  }
}

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
  process.exitCode = report.wrong.length === 0 && report.reused === 0 ? 0 : 1;
}
