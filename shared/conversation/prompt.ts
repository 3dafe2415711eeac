/** From what was said to the token ids that a turn adds to the log. */

import { AerieError } from "../errors.ts";
import { TemplateRefusal } from "../tokenizer/bounded-jinja.ts";
import type { ChatEncoder } from "../tokenizer/chat-encoder.ts";
import type { ChatMessage } from "../tokenizer/chat-template.ts";
import type { LoadedModel } from "./model-source.ts";
import type { InputItem } from "./types.ts";

/** The messages can't be put to this model. The API answers 400. */
export class PromptError extends AerieError {
  constructor(sentence: string, options?: { cause?: unknown }) {
    super("conversation.prompt", sentence, options);
  }
}

/** The system text of a list of items, paragraphs in order; "" for none. */
export const systemText = (...texts: readonly (string | null | undefined)[]): string =>
  texts.filter((text) => text).join("\n\n");

export const systemOf = (items: readonly InputItem[]): string =>
  systemText(...items.filter(({ role }) => role === "system").map(({ content }) => content));

/** What is left of a log's system text without the instructions that it begins with. */
export function withoutInstructions(system: string, instructions: string | null): string {
  if (!instructions) return system;
  return system === instructions ? "" : system.slice(instructions.length + 2);
}

/**
 * Items as a chat template takes them: turns that alternate. Neighbours of the same role become one message, paragraph by
 * paragraph; system items are not here, they are folded in once at the beginning.
 */
export function alternating(items: readonly InputItem[]): ChatMessage[] {
  const turns: { role: "user" | "assistant"; content: string }[] = [];
  for (const { role, content } of items) {
    if (role === "system") continue;
    const last = turns[turns.length - 1];
    if (last?.role === role) last.content = `${last.content}\n\n${content}`;
    else turns.push({ role, content });
  }
  return turns;
}

/** The ids of a whole conversation, from position 0 on. */
export function encodeConversation(loaded: LoadedModel, system: string, items: readonly InputItem[]): number[] {
  const { chat, traits } = textSideOf(loaded);
  const turns = alternating(items);
  if (turns[turns.length - 1]?.role !== "user")
    throw new PromptError("input: expected a user message at the end of the conversation, for the model to answer");
  return obeying(() => {
    try {
      return chat.openTurns(withSystem(system, turns, traits));
    } catch (error) {
      if (!(error instanceof TemplateRefusal) || turns[0].role === "user") throw error;
      // What the assistant answers to was deleted: most templates want something in its place.
      return chat.openTurns(withSystem(system, [{ role: "user", content: "" }, ...turns], traits));
    }
  });
}

/**
 * The ids to append behind a reply, or null where the template would write the turns before it differently now. `said` are
 * the items before the reply; where the template treats every exchange alike, its last ones are enough.
 */
export function encodeFollowUp(
  loaded: LoadedModel,
  system: string,
  said: readonly InputItem[],
  replyIds: readonly number[],
  next: readonly InputItem[],
): number[] | null {
  const { chat, traits } = textSideOf(loaded);
  const turns = alternating(next);
  if (turns[0]?.role !== "user") return null; // the reply is given a continuation: its text is no longer what was generated
  if (turns[turns.length - 1]?.role !== "user")
    throw new PromptError("input: expected a user message at the end of the conversation, for the model to answer");
  const before = alternating(said);
  const messages = traits.isUniform ? before.slice(-1) : withSystem(system, before, traits);
  return obeying(() => chat.followUp({ messages, replyIds, next: turns }));
}

/** Whether `encodeFollowUp` needs no more of the conversation than its last user message. */
export const isUniform = (loaded: LoadedModel): boolean => textSideOf(loaded).traits.isUniform;

/** What a template turned out to do. */
interface TemplateTraits {
  /** It has a place for system text; else the text stands before the first user message. */
  readonly takesSystem: boolean;
  /** What it appends to a reply depends on the user message before it at most. */
  readonly isUniform: boolean;
}

const known = new WeakMap<ChatEncoder, TemplateTraits>();

function textSideOf({ id, chat }: LoadedModel): { chat: ChatEncoder; traits: TemplateTraits } {
  if (!chat)
    throw new PromptError(
      `model: ${id} has no chat template, so it holds no conversations: use /v1/completions instead`,
    );
  let traits = known.get(chat);
  if (!traits) {
    traits = probe(chat);
    known.set(chat, traits);
  }
  return { chat, traits };
}

/** Tries the template on conversations whose right continuation is known. */
function probe(chat: ChatEncoder): TemplateTraits {
  const question: ChatMessage = { role: "user", content: "One?" };
  const takesSystem = !isRefused(() => chat.openTurns([{ role: "system", content: "Rule." }, question]));
  const plain: TemplateTraits = { takesSystem, isUniform: false };
  const replyIds: number[] = []; // an empty reply has the same end as any
  const next: ChatMessage[] = [{ role: "user", content: "Four?" }];
  const exchanges: ChatMessage[] = [
    question,
    { role: "assistant", content: "Two." },
    { role: "user", content: "Three?" },
    { role: "assistant", content: "Five." },
    { role: "user", content: "Six?" },
  ];
  const follow = (messages: readonly ChatMessage[]): string =>
    JSON.stringify(chat.followUp({ messages, replyIds, next }));
  try {
    const shortest = follow(exchanges.slice(-1));
    const longer = [exchanges.slice(-3), exchanges, withSystem("Rule.", exchanges, plain)];
    return { takesSystem, isUniform: shortest !== "null" && longer.every((messages) => follow(messages) === shortest) };
  } catch {
    return plain; // it refuses some of them: never rely on less than the whole conversation
  }
}

function withSystem(system: string, turns: readonly ChatMessage[], { takesSystem }: TemplateTraits): ChatMessage[] {
  if (system === "") return [...turns];
  if (takesSystem) return [{ role: "system", content: system }, ...turns];
  const [first, ...rest] = turns;
  return first?.role === "user"
    ? [{ role: "user", content: `${system}\n\n${first.content}` }, ...rest]
    : [{ role: "user", content: system }, ...turns];
}

function isRefused(encode: () => unknown): boolean {
  try {
    encode();
    return false;
  } catch (error) {
    if (error instanceof TemplateRefusal) return true;
    throw error;
  }
}

function obeying<Result>(encode: () => Result): Result {
  try {
    return encode();
  } catch (cause) {
    if (cause instanceof TemplateRefusal)
      throw new PromptError(`input: the model's chat template refuses these messages: ${cause.message}`, { cause });
    throw cause;
  }
}
