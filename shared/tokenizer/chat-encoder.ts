/** Conversations as token ids: all turns of one, or just those that continue a conversation whose state is kept. */

import type { ChatMessage, ChatTemplate } from "./chat-template.ts";
import { MessageGuard } from "./message-guard.ts";
import type { Tokenizer } from "./tokenizer.ts";

export interface FollowUp {
  /**
   * The conversation before the reply, as it was given to `openTurns`. Where a template treats every exchange alike
   * (Gemma's does), its last user message is enough, and the cost then does not grow with the conversation.
   */
  readonly messages: readonly ChatMessage[];
  /** The reply as it stands in the token log, with or without the control token that closes a turn. */
  readonly replyIds: readonly number[];
  /** What comes next: usually one user message. */
  readonly next: readonly ChatMessage[];
}

export class ChatEncoder {
  readonly #tokenizer: Tokenizer;
  readonly #template: ChatTemplate;

  constructor(tokenizer: Tokenizer, template: ChatTemplate) {
    this.#tokenizer = tokenizer;
    this.#template = template;
  }

  /**
   * The whole conversation up to where the assistant speaks, with exactly one BOS. Whatever messages say, they contain
   * no control token. Throws a `TemplateRefusal` if the template does not allow the conversation.
   */
  openTurns(messages: readonly ChatMessage[]): number[] {
    const guard = new MessageGuard(this.#tokenizer, messages, this.#template.source);
    const text = guard.render((guarded) => this.#open(guarded));
    return this.#tokenizer.withBos(this.#tokenizer.encodeTemplate(text, { restore: guard.restore }));
  }

  /**
   * The ids to append to a token log that ends with `replyIds` so that the assistant can answer `next`, without reading
   * the conversation again. `null` if the template would now write the earlier turns differently (it drops or rewrites
   * replies, say): then the whole conversation has to be encoded anew.
   *
   * The log keeps the reply as it was generated. Where the template would only trim white space around it, that is the
   * one difference from `openTurns` of the whole conversation.
   */
  followUp({ messages, replyIds, next }: FollowUp): number[] | null {
    const reply = this.#tokenizer.decode(replyIds);
    const said: ChatMessage[] = [...messages, { role: "assistant", content: reply }, ...next];
    const guard = new MessageGuard(this.#tokenizer, said, this.#template.source);
    const replyAt = messages.length;

    const before = guard.render((guarded) => this.#open(guarded.slice(0, replyAt)));
    const whole = guard.render((guarded) => this.#open(guarded));
    // The same with a reply of one character that occurs nowhere else: what follows it is what the template appends.
    const marked = guard.render((guarded) =>
      this.#open(guarded.with(replyAt, { role: "assistant", content: guard.marker })),
    );
    if (!marked.startsWith(before + guard.marker)) return null;
    const tail = marked.slice(before.length + guard.marker.length);
    if (tail.includes(guard.marker)) return null;
    if (whole.length < before.length + tail.length || !whole.startsWith(before) || !whole.endsWith(tail)) return null;
    const written = guard.restore(whole.slice(before.length, whole.length - tail.length));
    if (written !== reply && written !== reply.trim() && written !== reply.trimStart() && written !== reply.trimEnd()) {
      return null;
    }
    const ids = this.#tokenizer.encodeTemplate(tail, { restore: guard.restore, isContinuation: true });
    const closing = ids[0];
    const isClosed = closing !== undefined && this.#tokenizer.controlIds.has(closing) && replyIds.at(-1) === closing;
    return isClosed ? ids.slice(1) : ids;
  }

  #open(messages: readonly ChatMessage[]): string {
    return this.#template.render(messages, { addGenerationPrompt: true });
  }
}
