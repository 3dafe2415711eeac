/** Rounds in which a reply is being given when the process is killed: responses with readers that rejoin, and chats. */

import { isDeepStrictEqual } from "node:util";
import type { LoadedModel } from "../../shared/conversation/model-source.ts";
import { findNode, type StoredRequest } from "../../shared/conversation/nodes.ts";
import type { Sql } from "../../shared/conversation/sql.ts";
import { countIds, readIds } from "../../shared/conversation/token-log.ts";
import { TextEvents } from "../../shared/conversation/turn-events.ts";
import { ask, fetchFrom, type Json, type StreamEvent } from "./http.ts";
import type { Arena } from "./kill-arena.ts";
import { ChatWriter } from "./kill-chat.ts";
import { openGate, Reader, Writer } from "./kill-clients.ts";
import { checkBooks, checkConversation, checkKnown, claimsOf, hasTable } from "./kill-disk.ts";
import { armingFor, type Phase, type Scenario, segmentSecondsOf } from "./kill-phases.ts";
import { bodyOf, chatBodyOf, chatFollowUp, followUp, type Plan, type Reference, textOf } from "./kill-plans.ts";
import { objectIds, withObjectCopy } from "./object-files.ts";

export interface ReplyRound {
  readonly arena: Arena;
  readonly scenario: Scenario;
  readonly cycle: number;
  readonly kills: number;
  readonly plan: Plan;
  readonly reference: Reference;
}

/** A client in the middle of a reply, whichever way it asked. */
interface Client {
  /** Text events that were heard. */
  texts(): number;
  events(): number;
  isComplete(): boolean;
  heardOfPrefill(count: number): Promise<void>;
  heardTexts(count: number): Promise<void>;
}

export async function playResponse(round: ReplyRound): Promise<Phase[]> {
  const { arena, plan, reference } = round;
  const { runtime, persist, key, gate, report, problem } = arena;
  const before = new Set(objectIds(persist, "Conversation"));
  const target = { body: await bodyOf(arena, plan), idempotencyKey: arena.name };
  const writer = new Writer(runtime, key, target, gate);
  const second = writer.id.then((id) => new Reader(runtime, key, gate).follow(id));
  const texts = (reader: Reader) => reader.events.filter(({ type }) => type === "response.output_text.delta").length;
  const client: Client = {
    texts: () => texts(writer.reader),
    events: () => writer.reader.events.length,
    isComplete: () => writer.reader.isComplete,
    heardOfPrefill: (count) => writer.reader.heardOfPrefill(count),
    heardTexts: (count) => writer.reader.heardEvents(4 + count),
  };
  const { phases, object } = await killInMidReply(round, before, client, () => Promise.all([writer.run(), second]));
  const readers = [await writer.run(), await second];
  report.retried += writer.retries;
  for (const reader of readers) report.acknowledged += reader.events.length;
  for (const what of readers.flatMap((reader) => reader.problems)) problem(what);

  const last = readers[0].events.at(-1)?.response as Json & { id: string };
  const replay = await new Reader(runtime, key, openGate()).follow(last.id);
  for (const reader of readers) compareEvents(reader.events, replay.events, problem);
  if (texts(replay) !== reference.texts) problem("another number of text events than uninterrupted");
  const headers = { "idempotency-key": target.idempotencyKey };
  const repeated = new Reader(runtime, key, openGate());
  await repeated.read(await fetchFrom(runtime, key, "POST", "/v1/responses", target.body, { headers }));
  compareEvents(repeated.events, replay.events, problem);
  const got = await ask(runtime, key, "GET", `/v1/responses/${last.id}`);
  if (!isDeepStrictEqual(got, last)) problem("GET differs from the stream's last event");
  compareResponses(got, reference.response, "the reply", problem);
  compareResponses(await followUp(arena, plan.sampling, got), reference.followUp, "the follow-up", problem);
  await checkEnd(arena, object);
  return phases;
}

export async function playChat(round: ReplyRound): Promise<Phase[]> {
  const { arena, plan, reference } = round;
  const { persist, report, problem } = arena;
  const before = new Set(objectIds(persist, "Conversation"));
  const writer = new ChatWriter(arena, chatBodyOf(plan), arena.name);
  const client: Client = {
    texts: () => writer.texts.length,
    events: () => writer.texts.length,
    isComplete: () => writer.isComplete,
    heardOfPrefill: () => writer.heardTexts(1),
    heardTexts: (count) => writer.heardTexts(count),
  };
  const done: { running: Promise<void> | null } = { running: null };
  const { phases, object } = await killInMidReply(round, before, client, () => {
    done.running ??= writer.run();
    return done.running;
  });
  await done.running;
  report.retried += writer.retries;
  report.acknowledged += writer.texts.length;
  if (writer.ids.size !== 1) problem(`${writer.ids.size} ids for one chat`);
  const found = { text: writer.texts.join(""), usage: writer.usage };
  if (!isDeepStrictEqual(found, reference.response))
    problem(`the chat: expected ${JSON.stringify(reference.response)}, found ${JSON.stringify(found)}`);
  const { choices, usage } = await chatFollowUp(arena, plan, found.text);
  if (
    !isDeepStrictEqual([messageOf(choices), usage], [messageOf(reference.followUp.choices), reference.followUp.usage])
  )
    problem(
      `the chat's follow-up: expected ${JSON.stringify(reference.followUp)}, found ${JSON.stringify(choices)}, ${JSON.stringify(usage)}`,
    );
  await checkEnd(arena, object);
  return phases;
}

const messageOf = (choices: unknown): string => (choices as { message: { content: string } }[])[0].message.content;

/** Runs a client, kills the runtime under it, and lets it go on. */
async function killInMidReply(
  round: ReplyRound,
  before: ReadonlySet<string>,
  client: Client,
  run: () => Promise<unknown>,
): Promise<{ phases: Phase[]; object: string | null }> {
  const { arena, scenario, cycle, kills } = round;
  const { persist, report, problem, gate, random } = arena;
  let object: string | null = null;
  const phases: Phase[] = [];
  for (let kill = 0; kill < kills; kill++) {
    const arming = kill === 0 ? armingFor(scenario, cycle, random) : null;
    if (kill === 0) await arena.arm(arming ?? {});
    else gate.open();
    const running = run();
    void running.catch(() => undefined); // awaited by the caller, once the kills are over
    const isHeld = arming !== null && (await arena.held());
    if (!arming) await chance(round, kill === 0 ? scenario.aim : "anywhere", client, running);
    report.acknowledgedBefore += client.events();
    const look = (): Phase => {
      const created = objectIds(persist, "Conversation").filter((id) => !before.has(id));
      if (created.length > 1) problem(`${created.length} objects for one conversation`);
      object = created[0] ?? null;
      const found = object === null ? "before begin" : lookAt(arena, object, client);
      if (isHeld) return steered(arena, scenario, found);
      // The log is ahead of whoever reads it, by what is on its way: only who is held is sure to have told nobody.
      return found === "between log and event" ? "decode" : found;
    };
    const isAlone = scenario.aim === "segment alarm" && cycle % 2 === 1;
    phases.push(await arena.kill(look, segmentSecondsOf(scenario)));
    if (isAlone && object !== null) await finishedByItself(arena, object);
  }
  gate.open();
  return { phases, object };
}

/** Resolves at an instant that nobody chose. */
async function chance(
  { arena, reference }: ReplyRound,
  aim: Scenario["aim"],
  client: Client,
  running: Promise<unknown>,
): Promise<void> {
  const { random } = arena;
  const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
  const over = Promise.race([running.catch(() => undefined), wait(60_000)]);
  if (aim === "prefill") await Promise.race([over, client.heardOfPrefill(1 + Math.floor(8 * random()))]);
  else if (aim === "decode")
    await Promise.race([over, client.heardTexts(1 + Math.floor(random() * (reference.texts - 1)))]);
  else await wait(random() * 1.1 * reference.milliseconds);
}

/** What the next process will find: nothing torn, and how far the turn had come. */
function lookAt({ persist, problem, loaded }: Arena, object: string, client: Client): Phase {
  checkKnown(persist, object, problem);
  return withObjectCopy(persist, "Conversation", object, (sql): Phase => {
    checkConversation(sql, loaded, "after the kill", problem);
    if (!hasTable(sql, "node")) return "before begin";
    const [running] = sql.exec("SELECT id FROM node WHERE status = 'in_progress'");
    const node = findNode(sql, (running?.id as number | undefined) ?? 1);
    if (!node) return "before begin";
    if (!running) return client.isComplete() ? "between turns" : "commit";
    const output = countIds(sql, node.id) - (node.log?.promptLength ?? 0);
    if (output >= (node.request?.maxTokens ?? 0)) return "commit";
    const logged = loggedTexts(sql, node.id, loaded);
    if (logged < client.texts()) problem(`${client.texts()} texts were heard, the log has ${logged}`);
    return output === 0 ? "prefill" : logged > client.texts() ? "between log and event" : "decode";
  });
}

/** Text events that the log stands for. */
function loggedTexts(sql: Sql, node: number, loaded: LoadedModel): number {
  const found = findNode(sql, node);
  const texts = new TextEvents(loaded, node, found?.request as StoredRequest);
  return texts.push(readIds(sql, node, found?.log?.promptLength), null).length;
}

/** What may be on disk when the process is held in a phase: what it has not written yet, the next one does not find. */
const onDisk: Partial<Record<Scenario["aim"], readonly Phase[]>> = {
  "before begin": ["before begin", "prefill"],
  prefill: ["prefill"],
  decode: ["decode", "between log and event"],
  "between log and event": ["between log and event"],
  commit: ["decode", "between log and event", "commit"],
  "segment alarm": ["prefill", "decode", "between log and event", "commit"],
};

/** The phase that the process was held in, once what is on disk agrees. */
function steered({ problem }: Arena, { aim }: Scenario, found: Phase): Phase {
  if (onDisk[aim]?.includes(found)) return aim as Phase;
  problem(`held at ${aim}, but what is on disk says ${found}`);
  return found;
}

/** Nobody asks for it any more: the object's alarm goes on with the turn. */
async function finishedByItself({ persist, problem }: Arena, object: string): Promise<void> {
  for (const end = Date.now() + 60_000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 100))) {
    const left = withObjectCopy(persist, "Conversation", object, (sql) =>
      sql.exec("SELECT 1 FROM node WHERE status = 'in_progress'"),
    );
    if (left.length === 0) return;
  }
  problem("without anybody who asks, the alarm did not go on with the turn");
}

async function checkEnd({ persist, problem, loaded }: Arena, object: string | null): Promise<void> {
  if (object === null) return;
  withObjectCopy(persist, "Conversation", object, (sql) => {
    checkConversation(sql, loaded, "at the end", problem);
    const [{ nodes, turns }] = sql.exec("SELECT COUNT(*) AS nodes, (SELECT turns FROM meta) AS turns FROM node");
    if (nodes !== 2 || turns !== 2)
      problem(`${nodes} responses, counted as ${turns}, expected the turn and its follow-up`);
  });
  const claims = claimsOf(persist, object);
  if (claims > 1) problem(`${claims} claims lead to one turn`);
  await checkBooks(persist, object, problem);
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

export function compareResponses(found: Json, expected: Json, what: string, problem: (what: string) => void): void {
  const differs = (name: string, a: unknown, b: unknown) => {
    if (!isDeepStrictEqual(a, b))
      problem(`${name} of ${what}: expected ${JSON.stringify(b)}, found ${JSON.stringify(a)}`);
  };
  differs("text", textOf(found), textOf(expected));
  differs("status", found.status, expected.status);
  differs("usage", found.usage, expected.usage);
  differs("incomplete_details", found.incomplete_details, expected.incomplete_details);
}
