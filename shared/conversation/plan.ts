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

/** Throws a `PromptError` where the messages can't be put to the model. */
export function planTurn(sql: Sql, loaded: LoadedModel, parent: Node | null, request: TurnRequest): TurnPlan {
  checkSystemItems(parent, request.input);
  const { pending, base } = messagesSince(sql, parent);
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
    const before = isUniform(loaded) ? [lastUserItem(base)] : itemsBeforeReply(sql, base);
    const promptIds = encodeFollowUp(loaded, system, before, replyIds, next);
    if (promptIds) {
      checkLength(promptIds);
      return { instructions, system, logParent: base.id, start: logEnd(log), promptIds };
    }
  }
  const items = [...(parent ? allItems(sql, parent) : []), ...request.input];
  const promptIds = encodeConversation(loaded, system, items);
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

/** The last node with a reply, from `parent` on, and the messages that came after it. */
function messagesSince(sql: Sql, parent: Node | null): { pending: InputItem[]; base: Node | null } {
  const pending: InputItem[] = [];
  for (const node of parent ? pathUp(sql, parent.id) : []) {
    if (isFinished(node)) return { pending, base: node };
    pending.unshift(...said(node));
  }
  return { pending, base: null };
}

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

/** Everything said from the root to a node, its reply included. */
export function allItems(sql: Sql, node: Node): InputItem[] {
  const items = itemsBeforeReply(sql, node);
  return [...items, ...reply(node)];
}

function itemsBeforeReply(sql: Sql, node: Node): InputItem[] {
  const path = [...pathUp(sql, node.id)].reverse();
  return path.flatMap((at) => [...said(at), ...(at.id === node.id ? [] : reply(at))]);
}

/** Nobody continues what failed, however much of it was said. */
const reply = (node: Node): InputItem[] =>
  node.output && isFinished(node) ? [{ role: "assistant", content: node.output }] : [];
