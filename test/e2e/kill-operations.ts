/** Rounds in which something else than a reply is killed: the import of a state, a fork, a deletion, the erasure of everything. */

import { isDeepStrictEqual } from "node:util";
import type { Hold } from "./hold.ts";
import { fetchFrom, type Json, type SendOptions, send } from "./http.ts";
import type { Arena } from "./kill-arena.ts";
import { checkBooks, checkConversation, checkKnown, hasTable } from "./kill-disk.ts";
import { armingFor, type Phase, type Scenario } from "./kill-phases.ts";
import { followUp, itemsOf, type ShortReference, shortConversation } from "./kill-plans.ts";
import { compareResponses } from "./kill-replies.ts";
import { objectIds, withObjectCopy } from "./object-files.ts";

export interface OperationRound {
  readonly arena: Arena;
  readonly scenario: Scenario;
  readonly cycle: number;
  readonly sampling: Json;
  readonly reference: ShortReference;
}

type Request = readonly [method: string, path: string, body?: Json | Uint8Array];

export async function playOperation(round: OperationRound): Promise<Phase[]> {
  const { arena, scenario, cycle, sampling } = round;
  const before = new Set(objectIds(arena.persist, "Conversation"));
  // What is erased is all that a tenant has: one of its own.
  const key = scenario.operation === "erasure" ? await arena.runtime.key(`erased${cycle}`) : arena.key;
  const response = await shortConversation({ runtime: arena.runtime, key }, sampling);
  const conversation = (response.conversation as { id: string }).id;
  const [object, ...more] = objectIds(arena.persist, "Conversation").filter((id) => !before.has(id));
  if (object === undefined || more.length > 0) throw new Error(`expected one new object, found ${1 + more.length}`);
  const started = { ...round, key, response, conversation, object };
  const play = {
    "state import": playImport,
    fork: playFork,
    deletion: cycle % 2 === 0 ? playDeletion : playResponseDeletion,
    erasure: playErasure,
  };
  const phase = await play[scenario.operation as keyof typeof play](started);
  return [phase];
}

interface Started extends OperationRound {
  readonly key: string;
  readonly response: Json & { id: string };
  readonly conversation: string;
  readonly object: string;
}

/** Sends the request, kills the runtime where it is held, and starts it again. Nobody has heard of an outcome. */
async function killIn(
  { arena, key, scenario, cycle, object }: Started,
  ...[method, path, body]: Request
): Promise<Hold["instant"]> {
  const { runtime, persist, random, problem, gate } = arena;
  const arming = armingFor(scenario, cycle, random);
  if (!arming?.hold) throw new Error(`${scenario.aim}: expected a hold`);
  await arena.arm(arming);
  const answered = fetchFrom(runtime, key, method, path, body, optionsFor(body)).then(
    async (reply) => `${reply.status}: ${await reply.text()}`,
    () => null,
  );
  await arena.held();
  await arena.kill(() => {
    checkKnown(persist, object, problem);
    withObjectCopy(persist, "Conversation", object, (sql) =>
      checkConversation(sql, arena.loaded, "after the kill", problem),
    );
    return scenario.aim as Phase;
  });
  const answer = await answered.catch(() => null);
  if (answer !== null) problem(`answered before it was killed, ${answer}`);
  gate.open();
  arena.report.retried++;
  return arming.hold.instant;
}

const optionsFor = (body: Request[2]): SendOptions =>
  body instanceof Uint8Array ? { headers: { "content-type": "application/octet-stream" } } : {};

async function mustAnswer(
  { arena, key }: Started,
  statuses: readonly number[],
  ...[method, path, body]: Request
): Promise<Json> {
  const { status, text, json } = await send(arena.runtime, key, method, path, body, optionsFor(body));
  if (!statuses.includes(status))
    arena.problem(`${method} ${path}: expected ${statuses.join(" or ")}, found ${status} ${text}`);
  return json;
}

async function playImport(round: Started): Promise<Phase> {
  const { arena, conversation, reference, sampling, response } = round;
  // One turn more than the file has: the two can be told apart.
  await followUp(arena, sampling, response);
  const own = await itemsOf(arena, conversation);
  const request: Request = ["PUT", `/v1/conversations/${conversation}/state`, reference.file];
  const instant = await killIn(round, ...request);
  const found = await itemsOf(arena, conversation);
  const isImported = isDeepStrictEqual(found, reference.items);
  if (!isImported && !isDeepStrictEqual(found, own)) arena.problem(`half an import: ${JSON.stringify(found)}`);
  expectOutcome(arena, instant, isImported);
  await mustAnswer(round, [200], ...request);
  if (!isDeepStrictEqual(await itemsOf(arena, conversation), reference.items))
    arena.problem("the second import left something else");
  await checkFollowUp(round, conversation);
  await checkEnd(round);
  return "state import";
}

async function playFork(round: Started): Promise<Phase> {
  const { arena, conversation, object } = round;
  const branches = () =>
    withObjectCopy(arena.persist, "Conversation", object, (sql) => sql.exec("SELECT id FROM branch").length);
  const request: Request = ["POST", `/v1/conversations/${conversation}/fork`, {}];
  const before = branches();
  const instant = await killIn(round, ...request);
  const made = branches() - before;
  if (made < 0 || made > 1) arena.problem(`${made} forks for one request`);
  expectOutcome(arena, instant, made === 1);
  const fork = (await mustAnswer(round, [200], ...request)) as { id: string };
  for (const id of [fork.id, conversation]) await checkFollowUp(round, id);
  if (branches() !== before + made + 1) arena.problem(`${branches()} branches, expected ${before + made + 1}`);
  await checkEnd(round);
  return "fork";
}

/** Of a whole conversation: its object is emptied, the tenant told. */
async function playDeletion(round: Started): Promise<Phase> {
  const { arena, conversation, object } = round;
  const path = `/v1/conversations/${conversation}`;
  await killIn(round, "DELETE", path);
  await mustAnswer(round, [200, 404], "DELETE", path);
  await checkGone(round);
  await checkBooks(arena.persist, object, arena.problem);
  return "deletion";
}

/**
 * Of all that a tenant has. Where the tenant was told before the kill, the second request finds nothing to erase: texts are
 * gone by then, and the object's alarm does the rest, which is waited for when all rounds are over.
 */
async function playErasure(round: Started): Promise<Phase> {
  await killIn(round, "DELETE", "/v1/data");
  const { deleted } = await mustAnswer(round, [200], "DELETE", "/v1/data");
  if (deleted !== true) round.arena.problem(`the second erasure: deleted is ${deleted}`);
  await checkGone(round);
  return "deletion";
}

async function checkGone(round: Started): Promise<void> {
  const { arena, conversation, object, response } = round;
  await mustAnswer(round, [404], "GET", `/v1/conversations/${conversation}`);
  await mustAnswer(round, [404], "GET", `/v1/responses/${response.id}`);
  const leftovers = withObjectCopy(arena.persist, "Conversation", object, (sql) =>
    hasTable(sql, "node") ? sql.exec("SELECT id FROM node WHERE status <> 'erased'").length : 0,
  );
  if (leftovers > 0) arena.problem(`${leftovers} responses are left`);
}

/** Of a response with one behind it: its text goes, the other one stays. */
async function playResponseDeletion(round: Started): Promise<Phase> {
  const { arena, sampling, response } = round;
  const behind = (await followUp(arena, sampling, response)) as Json & { id: string };
  await killIn(round, "DELETE", `/v1/responses/${response.id}`);
  await mustAnswer(round, [200, 404], "DELETE", `/v1/responses/${response.id}`);
  await mustAnswer(round, [404], "GET", `/v1/responses/${response.id}`);
  const left = await mustAnswer(round, [200], "GET", `/v1/responses/${behind.id}`);
  compareResponses(left, behind, "the response behind it", arena.problem);
  await checkEnd(round);
  return "deletion";
}

/** What was durable is there; what was not begun is not. In between both may be. */
function expectOutcome(arena: Arena, instant: Hold["instant"], isThere: boolean): void {
  if (instant === "inside" && isThere)
    arena.problem("it is there, though it was killed in the middle of its transaction");
  if (instant === "durable" && !isThere) arena.problem("it was durable, and is gone");
}

async function checkFollowUp({ arena, sampling, reference, response }: Started, conversation: string): Promise<void> {
  const found = await followUp(arena, sampling, { ...response, conversation: { id: conversation } });
  compareResponses(found, reference.followUp, "the follow-up", arena.problem);
}

async function checkEnd({ arena, object }: Started): Promise<void> {
  withObjectCopy(arena.persist, "Conversation", object, (sql) =>
    checkConversation(sql, arena.loaded, "at the end", arena.problem),
  );
  await checkBooks(arena.persist, object, arena.problem);
}
