/**
 * Does anything of one conversation get into another? Many of them share a model's memory, its few state slots, its arena
 * and one thread; their turns are interleaved at random, aborted, and now and then the whole wasm instance is thrown away.
 * Every reply must be the one that the conversation gets alone. `npm run test:bleed -- --interleavings 10000 --seed 1`.
 */

import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { loadKernels } from "../../cli/kernels.ts";
import { openTextSide } from "../../cli/model-argument.ts";
import { nodeFolder } from "../../cli/node-folder.ts";
import { nodeSql } from "../../cli/node-sql.ts";
import { wasmBackend } from "../../shared/backend/wasm/index.ts";
import type { ConversationCore } from "../../shared/conversation/conversation.ts";
import type { LoadedModel, ModelSource } from "../../shared/conversation/model-source.ts";
import type { ResponseRecord, TurnRequest } from "../../shared/conversation/types.ts";
import { loadModel } from "../../shared/load-model.ts";
import { finished, greedy, request, sampled, sourceOf, testObject, unwrap } from "./fixture.ts";

const folder = fileURLToPath(new URL("../../models/fledgling-2m", import.meta.url));

export interface BleedReport {
  readonly seed: number;
  readonly interleavings: number;
  readonly aborted: number;
  readonly instancesDropped: number;
  /** Replies that were not the ones given alone: must be none. */
  readonly wrong: readonly string[];
}

const CONVERSATIONS = 24;
const REPLY_TOKENS = 10;
const TOGETHER = 6; // conversations that speak at the same time; the memory has room for two states

/** A conversation's lines. The canary is a word that only it says. */
function scriptOf(at: number): { lines: string[]; sampling: TurnRequest["sampling"] } {
  const canary = `zq${(at * 7919).toString(36)}x`;
  const lines = [`The word is ${canary}.`, "Tell me about the word.", `Why ${canary}?`, "And then?"];
  return { lines, sampling: at % 2 === 0 ? greedy : { ...sampled, seed: String(at) } };
}

/** A fresh wasm instance: 2 slots, so that states of more conversations must leave and come back. */
async function freshModel(): Promise<LoadedModel> {
  const source = nodeFolder(folder);
  try {
    const kernels = loadKernels();
    const model = await loadModel(source, (needs) => wasmBackend(kernels, needs, { stateSlots: 2, maxTokens: 16 }));
    return { id: "fledgling", digest: "d".repeat(64), model, ...(await openTextSide(folder)) };
  } finally {
    await source.close();
  }
}

export async function bleed(
  interleavings: number,
  seed: number,
  onProgress: (done: number) => unknown = () => undefined,
): Promise<BleedReport> {
  const random = generator(seed);
  const alone = await repliesAlone();
  let loaded = await freshModel();
  const models: ModelSource = {
    load: async () => loaded,
    admit: (model) => sourceOf(model, { tokensPerYield: 1 + Math.floor(3 * random()) }).admit(model),
    discard: () => undefined,
  };
  const wrong: string[] = [];
  let [done, aborted, instancesDropped] = [0, 0, 0];

  while (done < interleavings) {
    const chosen = Array.from({ length: TOGETHER }, () => Math.floor(random() * CONVERSATIONS));
    await Promise.all(
      chosen.map(async (at) => {
        const database = new DatabaseSync(":memory:");
        const object = testObject(nodeSql(database), models);
        const { lines, sampling } = scriptOf(at);
        let parent = 0;
        for (const [turn, line] of lines.entries()) {
          let core = object.open();
          const asked = ask(line, parent, sampling);
          if (random() < 0.2) {
            aborted++;
            await abort(core, asked, random);
            if (random() < 0.5) core = object.open();
          }
          const [reply] = await finished(await core.turn(asked, { quiet: true }));
          parent = reply.node;
          done++;
          if (told(reply) !== alone[at][turn])
            wrong.push(`conversation ${at}, turn ${turn}: ${told(reply)} instead of ${alone[at][turn]}`);
        }
        await object.settled();
        database.close();
      }),
    );
    if (random() < 0.15) {
      instancesDropped++;
      loaded = await freshModel();
    }
    onProgress(done);
  }
  return { seed, interleavings: done, aborted, instancesDropped, wrong };
}

/** Each conversation by itself, in a wasm instance of its own. */
async function repliesAlone(): Promise<string[][]> {
  const all: string[][] = [];
  for (let at = 0; at < CONVERSATIONS; at++) {
    const database = new DatabaseSync(":memory:");
    const object = testObject(nodeSql(database), sourceOf(await freshModel()));
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

/** Begins a turn and leaves it: its reader goes away, or it is cancelled, or its object is opened anew in the middle. */
async function abort(core: ConversationCore, asked: TurnRequest, random: () => number): Promise<void> {
  const { responses, events } = unwrap(await core.turn({ ...asked, whenUnread: "stop" }, { quiet: false }));
  if (random() < 0.5) await events.cancel();
  else await core.cancel(responses[0].node);
}

/** Mulberry32: small, seeded, good enough to shuffle. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: { interleavings: { type: "string", default: "10000" }, seed: { type: "string", default: "1" } },
  });
  const report = await bleed(Number(values.interleavings), Number(values.seed), (done) => {
    if (process.stderr.isTTY) process.stderr.write(`\r${done} turns`);
  });
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
  process.exitCode = report.wrong.length === 0 ? 0 : 1;
}
