/**
 * Kills the runtime in the middle of turns, again and again, and says what a client then sees. Each round asks for a reply,
 * kills workerd at a random instant, starts it again, and compares everything with the same request run uninterrupted.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { findNode } from "../../shared/conversation/nodes.ts";
import { countIds } from "../../shared/conversation/token-log.ts";
import { checkInvariants } from "../conversation/invariants.ts";
import { ask, ENDLESS, fetchFrom, type Json, outputOf, randomOf, type StreamEvent } from "./http.ts";
import { type Gate, openGate, Reader, type Target, Writer } from "./kill-clients.ts";
import { objectIds, withObjectCopy } from "./object-files.ts";
import { Runtime } from "./runtime.ts";

/** Where a kill hit, by what the database held afterwards. */
export type Phase = "before begin" | "prefill" | "decode" | "commit" | "between turns";

export interface KillOptions {
  readonly rounds: number;
  readonly seed: number;
  /** Compute per event: little makes a turn pass through many alarms. Default: the Worker's own. */
  readonly segmentSeconds?: number;
  readonly onRound?: (line: string) => void;
}

export interface KillReport {
  readonly rounds: number;
  kills: number;
  readonly phases: Record<Phase, number>;
  /** Events that clients had before a kill, and after all. */
  acknowledgedBefore: number;
  acknowledged: number;
  /** Requests that had to be sent again because they died before their id was known. */
  retried: number;
  /** What is wrong; empty is good. */
  readonly problems: string[];
}

/** A turn with its follow-up. */
interface Plan {
  readonly body: Json;
  readonly followUp: Json;
  readonly inConversation: boolean;
}

interface Reference {
  readonly texts: number;
  readonly milliseconds: number;
  readonly response: Json;
  readonly followUp: Json;
}

const sentence = (at: number) => `Tell me a story about a bird and ${at + 2} brave beavers. `;

const plans: readonly Plan[] = [
  { temperature: 0, sentences: 180, inConversation: true },
  { temperature: 1, sentences: 180, inConversation: false },
  { temperature: 0, sentences: 1, inConversation: false },
  { temperature: 1, sentences: 60, inConversation: true },
].map(({ temperature, sentences, inConversation }, index) => {
  const sampling = { temperature, seed: 7000 + index, logit_bias: ENDLESS };
  const input = Array.from({ length: sentences }, (_, at) => sentence(at + 31 * index)).join("");
  return {
    body: { ...sampling, input, max_output_tokens: 700, stream: true },
    followUp: { ...sampling, input: "And what happened then?", max_output_tokens: 60 },
    inConversation,
  };
});

/** Where to aim: by chance alone, the few milliseconds of a commit would hardly ever be hit. */
const aims = ["anywhere", "prefill", "decode", "commit"] as const;

export async function killRounds({ rounds, seed, segmentSeconds, onRound }: KillOptions): Promise<KillReport> {
  const persist = mkdtempSync(join(tmpdir(), "aerie-kill-"));
  const runtime = await Runtime.start({
    persist,
    requestsPerMinute: 100_000,
    ...(segmentSeconds !== undefined && { vars: { AERIE_SEGMENT_SECONDS: String(segmentSeconds) } }),
  });
  const report: KillReport = {
    rounds,
    kills: 0,
    phases: { "before begin": 0, prefill: 0, decode: 0, commit: 0, "between turns": 0 },
    acknowledgedBefore: 0,
    acknowledged: 0,
    retried: 0,
    problems: [],
  };
  try {
    const key = await runtime.key("killed");
    const references = new Map<Plan, Reference>();
    for (const plan of plans) references.set(plan, await uninterrupted(runtime, key, plan));
    const random = randomOf(seed);
    for (let round = 0; round < rounds; round++) {
      const plan = plans[round % plans.length];
      const aim = aims[(round + Math.floor(round / plans.length)) % aims.length]; // 16 rounds have every pair
      const game = new Round({
        runtime,
        persist,
        key,
        plan,
        reference: references.get(plan) as Reference,
        report,
        random,
      });
      // Every fourth round is hit twice: the second time while it recovers.
      const phases = await game.play(`seed ${seed} round ${round}`, aim, round % 4 === 3 ? 2 : 1);
      onRound?.(`round ${round}: aimed at ${aim}, hit ${phases.join(", ")}`);
    }
  } finally {
    await runtime.stop();
    rmSync(persist, { recursive: true, force: true });
  }
  return report;
}

async function uninterrupted(runtime: Runtime, key: string, plan: Plan): Promise<Reference> {
  const target = await begin(runtime, key, plan, null);
  await ask(runtime, key, "POST", "/v1/responses", { input: "Hello.", max_output_tokens: 1 }); // weights are loaded
  const before = performance.now();
  const gate: Gate = openGate();
  const writer = new Writer(runtime, key, target, gate);
  const reader = await writer.run();
  const texts = reader.events.filter(({ type }) => type === "response.output_text.delta").length;
  const response = reader.events[reader.events.length - 1].response as Json;
  return {
    texts,
    milliseconds: performance.now() - before,
    response,
    followUp: await followUp(runtime, key, plan, response),
  };
}

async function begin(runtime: Runtime, key: string, plan: Plan, round: string | null): Promise<Target> {
  const conversation = plan.inConversation ? (await ask(runtime, key, "POST", "/v1/conversations", {})).id : null;
  return {
    body: { ...plan.body, ...(conversation === null ? {} : { conversation }) },
    idempotencyKey: round ?? crypto.randomUUID(),
  };
}

async function followUp(runtime: Runtime, key: string, plan: Plan, response: Json): Promise<Json> {
  const conversation = (response.conversation as { id: string } | null)?.id;
  const parent = conversation ? { conversation } : { previous_response_id: response.id };
  return ask(runtime, key, "POST", "/v1/responses", { ...plan.followUp, ...parent });
}

interface RoundOptions {
  readonly runtime: Runtime;
  readonly persist: string;
  readonly key: string;
  readonly plan: Plan;
  readonly reference: Reference;
  readonly report: KillReport;
  readonly random: () => number;
}

class Round {
  readonly #o: RoundOptions;
  #object: string | null = null;
  #workerd = 0; // process id

  constructor(options: RoundOptions) {
    this.#o = options;
  }

  async play(name: string, aim: (typeof aims)[number], kills: number): Promise<Phase[]> {
    const { runtime, persist, key, plan, reference, report } = this.#o;
    const problem = (what: string) => report.problems.push(`${name}: ${what}`);
    const before = new Set(objectIds(persist, "Conversation"));
    const target = await begin(runtime, key, plan, name);
    const gate = openGate();
    const writer = new Writer(runtime, key, target, gate);
    const second = writer.id.then((id) => new Reader(runtime, key, gate).follow(id));
    const done = Promise.all([writer.run(), second]);
    void done.catch(() => undefined); // awaited below, once the kills are over
    const phases: Phase[] = [];
    for (let kill = 0; kill < kills; kill++) {
      await this.#moment(writer, kill === 0 ? aim : "anywhere");
      report.acknowledgedBefore += writer.reader.events.length;
      const isDone = writer.reader.isComplete;
      gate.close();
      await runtime.kill(this.#workerd);
      report.kills++;
      const created = objectIds(persist, "Conversation").filter((id) => !before.has(id));
      if (created.length > 1) problem(`${created.length} objects for one conversation`);
      this.#object = created[0] ?? null;
      phases.push(this.#look(problem, isDone));
      await runtime.start();
      gate.open();
    }
    for (const phase of phases) report.phases[phase]++;
    const readers = await done;
    report.retried += writer.retries;
    for (const reader of readers) report.acknowledged += reader.events.length;
    for (const what of readers.flatMap((reader) => reader.problems)) problem(what);
    await this.#compare(target, readers, reference, problem);
    return phases;
  }

  /** Resolves at the instant of the kill. Its process is looked up before: the search takes a while. */
  async #moment(writer: Writer, aim: (typeof aims)[number]): Promise<void> {
    const { runtime, random, reference } = this.#o;
    this.#workerd = runtime.workerdPid();
    const started = writer.run();
    void started.catch(() => undefined);
    const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
    const over = Promise.race([started.catch(() => undefined), wait(20_000)]);
    if (aim === "anywhere") await wait(random() * 1.1 * reference.milliseconds);
    if (aim === "prefill") await Promise.race([over, writer.reader.heardOfPrefill(1 + Math.floor(8 * random()))]);
    if (aim === "decode")
      await Promise.race([over, writer.reader.heardEvents(4 + Math.floor(random() * reference.texts))]);
    if (aim === "commit") {
      await Promise.race([over, writer.reader.heardEvents(4 + reference.texts - Math.floor(64 * random()))]);
      await wait(random() * 10);
    }
  }

  /** What the next process will find: nothing torn, and how far the turn had come. */
  #look(problem: (what: string) => void, isDone: boolean): Phase {
    if (this.#object === null) return "before begin";
    return withObjectCopy(this.#o.persist, "Conversation", this.#object, (sql): Phase => {
      const [integrity] = sql.exec("PRAGMA integrity_check");
      if (integrity.integrity_check !== "ok") problem(`integrity_check: ${integrity.integrity_check}`);
      for (const what of checkInvariants(sql, null)) problem(`after the kill: ${what}`);
      if (sql.exec("SELECT 1 FROM sqlite_master WHERE name = 'node'").length === 0) return "before begin";
      const [running] = sql.exec("SELECT id FROM node WHERE status = 'in_progress'");
      const node = findNode(sql, (running?.id as number | undefined) ?? 1);
      if (!node) return "before begin";
      if (!running) return isDone ? "between turns" : "commit";
      const output = countIds(sql, node.id) - (node.log?.promptLength ?? 0);
      return output === 0 ? "prefill" : output < (node.request?.maxTokens ?? 0) ? "decode" : "commit";
    });
  }

  async #compare(
    target: Target,
    readers: readonly Reader[],
    reference: Reference,
    problem: (what: string) => void,
  ): Promise<void> {
    const { runtime, persist, key, plan } = this.#o;
    const last = readers[0].events.at(-1)?.response as Json & { id: string };
    const replay = new Reader(runtime, key, openGate());
    await replay.follow(last.id);
    for (const reader of readers) compareEvents(reader.events, replay.events, problem);
    if (replay.events.filter(({ type }) => type === "response.output_text.delta").length !== reference.texts)
      problem("another number of text events than uninterrupted");
    const again = await fetchFrom(runtime, key, "POST", "/v1/responses", target.body, {
      headers: { "idempotency-key": target.idempotencyKey },
    });
    const repeated = new Reader(runtime, key, openGate());
    await repeated.read(again);
    compareEvents(repeated.events, replay.events, problem);
    const got = await ask(runtime, key, "GET", `/v1/responses/${last.id}`);
    if (!isDeepStrictEqual(got, last)) problem("GET differs from the stream's last event");
    compareResponses(got, reference.response, "the reply", problem);
    compareResponses(await followUp(runtime, key, plan, got), reference.followUp, "the follow-up", problem);
    if (this.#object === null) return;
    withObjectCopy(persist, "Conversation", this.#object, (sql) => {
      for (const what of checkInvariants(sql, null)) problem(`at the end: ${what}`);
      const [{ nodes }] = sql.exec("SELECT COUNT(*) AS nodes FROM node");
      if (nodes !== 2) problem(`${nodes} responses, expected the turn and its follow-up`);
    });
  }
}

function compareEvents(
  found: readonly StreamEvent[],
  expected: readonly StreamEvent[],
  problem: (what: string) => void,
): void {
  if (found.length !== expected.length) problem(`${found.length} events, a replay has ${expected.length}`);
  const at = found.findIndex((event, index) => !isDeepStrictEqual(event, expected[index]));
  if (at >= 0) problem(`event ${at} is ${JSON.stringify(found[at])}, in a replay ${JSON.stringify(expected[at])}`);
}

function compareResponses(found: Json, expected: Json, what: string, problem: (what: string) => void): void {
  const differs = (name: string, a: unknown, b: unknown) => {
    if (!isDeepStrictEqual(a, b))
      problem(`${name} of ${what}: expected ${JSON.stringify(b)}, found ${JSON.stringify(a)}`);
  };
  differs("text", outputOf(found as never), outputOf(expected as never));
  differs("status", found.status, expected.status);
  differs("usage", found.usage, expected.usage);
  differs("incomplete_details", found.incomplete_details, expected.incomplete_details);
}
