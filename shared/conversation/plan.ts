/** What a turn has to process: which log it continues, from which checkpoint, and the ids it adds. */

import type { LoadedModel } from "./model-source.ts";
import { isFinished, logEnd, type Node, pathUp } from "./nodes.ts";
import {
  encodeConversation,
  encodeFollowUp,
  isUniform,
  PromptError,
  systemOf,
  systemText,
  withoutInstructions,
} from "./prompt.ts";
import { RefusedError } from "./refusal.ts";
import type { Sql } from "./sql.ts";
import { readIds } from "./token-log.ts";
import type { InputItem, TurnRequest } from "./types.ts";

export interface TurnPlan {
  readonly instructions: string | null;
  /** All system text that the log begins with. */
  readonly system: string;
  readonly logParent: number | null;
  readonly start: number;
  readonly promptIds: readonly number[];
}

/** Most tokens before a reply's own prompt and in it: what the log's keys have room for, and far more than a body holds. */
const MAX_PROMPT_TOKENS = 2 ** 20;

/**
 * UTF-8 that one turn encodes. Encoding takes up to 40 bytes of heap for each, most of it garbage; with 4 MB an isolate was
 * out of memory. A request's own text has at most 1.2 MB (row-size.ts).
 */
export const MAX_ENCODED_BYTES = 1_500_000;

/** Throws a `PromptError` where the messages can't be put to the model. */
export function planTurn(sql: Sql, loaded: LoadedModel, parent: Node | null, request: TurnRequest): TurnPlan {
  checkSystemItems(parent, request.input);
  const room = MAX_ENCODED_BYTES - bytesOf(request.input);
  const { pending, base } = messagesSince(sql, parent, room);
  if (request.parent.kind === "node" && request.parent.isVerbatim && (base?.id !== parent?.id || !isVerbatim(base)))
    throw new RefusedError(404, "response_changed", "something was deleted from the conversation before the response");
  const next = [...pending, ...request.input];
  const instructions = request.instructions ?? parent?.instructions ?? null;
  // System items stay once they are said; instructions are replaced as a whole.
  const sticky = base ? withoutInstructions(base.system, base.instructions) : "";
  const system = systemText(instructions, sticky, systemOf(next));

  if (base?.log && base.log.digest === loaded.digest && !base.log.isCut && system === base.system) {
    const { log } = base;
    const replyIds = [...readIds(sql, base.id, log.promptLength, log.promptLength + (log.kept ?? 0)), ...log.tail];
    const before = isUniform(loaded) ? [lastUserItem(base)] : itemsBeforeReply(sql, base, room);
    const promptIds = before && encodeFollowUp(loaded, system, before, replyIds, next);
    if (promptIds) {
      checkLength(promptIds);
      return { instructions, system, logParent: base.id, start: logEnd(log), promptIds };
    }
  }
  const before = parent ? allItems(sql, parent, room) : [];
  if (!before)
    throw tooMuch(
      "the whole conversation, which has to be read anew since its instructions or its model changed or something was deleted,",
      "go on with the instructions and the model of before, or begin a new conversation",
    );
  const promptIds = encodeConversation(loaded, system, [...before, ...request.input]);
  checkLength(promptIds);
  return { instructions, system, logParent: null, start: 0, promptIds };
}

/** It would stand at the beginning of the log, before everything that was said already. */
function checkSystemItems(parent: Node | null, input: readonly InputItem[]): void {
  const late = parent ? input.findIndex(({ role }) => role === "system") : -1;
  if (late < 0) return;
  const param = `input[${late}].role`;
  throw new RefusedError(
    400,
    "invalid_value",
    `Invalid '${param}': a system message can only open a conversation; give the new system text as 'instructions'.`,
    { param },
  );
}

function checkLength(promptIds: readonly number[]): void {
  if (promptIds.length > MAX_PROMPT_TOKENS)
    throw new PromptError(
      `input: expected at most ${MAX_PROMPT_TOKENS} tokens in one turn, found ${promptIds.length}: send them in several`,
    );
}

/** The last node with a reply, from `parent` on, and the messages that came after it: refused where they are more than `room` bytes. */
function messagesSince(sql: Sql, parent: Node | null, room: number): { pending: InputItem[]; base: Node | null } {
  const pending: InputItem[][] = [];
  let left = room;
  for (const node of parent ? pathUp(sql, parent.id) : []) {
    if (isFinished(node)) return { pending: pending.reverse().flat(), base: node };
    const items = said(node);
    left -= bytesOf(items);
    if (left < 0)
      throw tooMuch("what waits for a reply before it", "delete some of it, or go on from an earlier response");
    pending.push(items);
  }
  return { pending: pending.reverse().flat(), base: null };
}

function tooMuch(what: string, remedy: string): RefusedError {
  return new RefusedError(
    413,
    "input_too_large",
    `input: with ${what} it has more than ${MAX_ENCODED_BYTES} bytes, the most that one turn reads: ${remedy}`,
    { param: "input" },
  );
}

const encoder = new TextEncoder();

/** Of their texts in UTF-8. */
const bytesOf = (items: readonly InputItem[]): number =>
  items.reduce((sum, { content }) => sum + encoder.encode(content).length, 0);

/** Whether nothing that was said up to a response's end was deleted since. */
const isVerbatim = (node: Node | null): boolean => node?.log != null && !node.log.isCut;

const said = ({ input }: Node): InputItem[] => input.filter((item) => item !== null);

/**
 * For a template that treats every exchange alike, this stands for the whole conversation; any message does where none is
 * known, behind a state that came without its messages.
 */
function lastUserItem(base: Node): InputItem {
  return said(base).findLast(({ role }) => role === "user") ?? { role: "user", content: "" };
}

/** Everything said from the root to a node, its reply included. null: more than `room` bytes, and not all of it was read. */
export function allItems(sql: Sql, node: Node, room: number): InputItem[] | null {
  const own = reply(node);
  const before = itemsBeforeReply(sql, node, room - bytesOf(own));
  return before && [...before, ...own];
}

function itemsBeforeReply(sql: Sql, node: Node, room: number): InputItem[] | null {
  const newestFirst: InputItem[][] = [];
  let left = room;
  for (const at of pathUp(sql, node.id)) {
    const items = at.id === node.id ? said(at) : [...said(at), ...reply(at)];
    left -= bytesOf(items);
    if (left < 0) return null;
    newestFirst.push(items);
  }
  return newestFirst.reverse().flat();
}

/** Nobody continues what failed, however much of it was said. */
const reply = (node: Node): InputItem[] =>
  node.output && isFinished(node) ? [{ role: "assistant", content: node.output }] : [];
