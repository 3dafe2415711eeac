/** What does a model remember? Facts asked for at growing distance, and facts that were never told. */

import type { State } from "../../shared/backend/backend.ts";
import {
  absorb,
  createState,
  lastLogits,
  type Model,
  restoreState,
  type SavedState,
  saveState,
} from "../../shared/engine.ts";
import { generate } from "../../shared/generate.ts";
import type { TextSide } from "../../shared/load-text-side.ts";
import { parseSampling } from "../../shared/sampler/parse-options.ts";
import type { ChatMessage } from "../../shared/tokenizer/chat-template.ts";

/** A dialogue of training/examinations.py: the questions are its last user turns. */
export interface Dialogue {
  readonly messages: readonly ChatMessage[];
  readonly tells: readonly number[]; // indices of the messages that tell facts
  readonly questions: readonly Question[];
}

export interface Question {
  readonly at: number; // index of its message
  readonly expected: string; // the beginning of the right answer, up to the end of the value
  readonly value: string | null; // null: it was never told
  readonly kind: string;
  readonly distance: number | null; // tokens since the value was last mentioned
}

export const SPANS = [
  [0, 64],
  [64, 128],
  [128, 256],
  [256, 512],
  [512, 1024],
  [1024, 2048],
] as const;

export interface Share {
  readonly asked: number;
  readonly share: number;
}

export interface Span extends Share {
  readonly from: number;
  readonly to: number;
  /** Told, but answered with "I don't know". */
  readonly falseUnknown: number;
  /** Right answers if each kind's most frequent value were said every time. */
  readonly chance: number;
}

export interface Recall {
  readonly spans: readonly Span[];
  readonly kinds: Readonly<Record<string, Share>>; // right answers by kind of fact, at 512 tokens and more
  readonly unknown: Share; // "I don't know" where nothing was told
  readonly falseUnknown: Share;
  readonly dialogues: number;
  readonly names: number; // different held-out names asked for
}

interface Answer {
  readonly question: Question;
  readonly isRight: boolean;
  readonly isUnknown: boolean;
}

const NAMES = ["name", "cat", "dog"]; // kinds whose values are held-out names
const ANSWER_TOKENS = 24;
const REPLY_TOKENS = 60;
const greedy = parseSampling({ temperature: 0 });

export async function recall(
  model: Model,
  text: TextSide,
  dialogues: readonly Dialogue[],
  onProgress: (done: number, total: number) => unknown,
): Promise<Recall> {
  const answers: Answer[] = [];
  for (const [done, dialogue] of dialogues.entries()) {
    answers.push(...(await examine(model, text, dialogue)));
    await onProgress(done + 1, dialogues.length);
  }
  const told = answers.filter(({ question }) => question.distance !== null);
  const isName = ({ question: { kind } }: Answer) => NAMES.includes(kind);
  return {
    spans: SPANS.map(([from, to]) => {
      const here = told.filter(({ question: { distance } }) => distance! >= from && distance! < to);
      const falseUnknown = share(here, ({ isUnknown }) => isUnknown).share;
      return { from, to, ...share(here, ({ isRight }) => isRight), falseUnknown, chance: chance(here) };
    }),
    kinds: Object.fromEntries(
      [...new Set(told.map(({ question }) => question.kind))].sort().map((kind) => {
        const far = told.filter(({ question }) => question.kind === kind && question.distance! >= 512);
        return [kind, share(far, ({ isRight }) => isRight)];
      }),
    ),
    unknown: share(
      answers.filter(({ question }) => question.distance === null),
      ({ isUnknown }) => isUnknown,
    ),
    falseUnknown: share(told, ({ isUnknown }) => isUnknown),
    dialogues: dialogues.length,
    names: new Set(told.filter(isName).map(({ question }) => question.value)).size,
  };
}

/**
 * Asks the questions of one dialogue. What the model replies to the facts is its own; other replies are the dialogue's,
 * so that the distances are too. Each question is asked behind the right answers to those before it.
 */
async function examine(model: Model, text: TextSide, { messages, tells, questions }: Dialogue): Promise<Answer[]> {
  const talk = [...messages];
  let state = createState(model);
  for (const at of tells) {
    const { reply } = await respond(model, text, createState(model), talk.slice(0, at + 1), REPLY_TOKENS);
    talk[at + 1] = { role: "assistant", content: reply };
  }
  state = createState(model);
  const answers: Answer[] = [];
  for (const question of questions) {
    const { reply, before } = await respond(model, text, state, talk.slice(0, question.at + 1), ANSWER_TOKENS);
    answers.push({
      question,
      isRight: reply.startsWith(question.expected) && !/^\w/.test(reply.slice(question.expected.length)),
      isUnknown: /^I do(n't| not) know/.test(reply),
    });
    state = restoreState(model, before);
  }
  return answers;
}

/** Goes on from a state that has read a beginning of the messages; `before` is the state just before the reply. */
async function respond(
  model: Model,
  { tokenizer, chat }: TextSide,
  state: State,
  messages: readonly ChatMessage[],
  maxTokens: number,
): Promise<{ reply: string; before: SavedState }> {
  const ids = chat!.openTurns(messages);
  absorb(model, state, ids.slice(state.position, -1));
  const before = await saveState(model, state);
  const logits = await lastLogits(model, state, ids.slice(-1));
  const tokens = generate(model, tokenizer, state, logits, ids, { sampling: greedy, maxTokens });
  let reply = "";
  for (;;) {
    const next = await tokens.next();
    reply += next.done ? next.value.rest : next.value.text;
    if (next.done) return { reply, before };
  }
}

function share(of: readonly Answer[], is: (one: Answer) => boolean): Share {
  return { asked: of.length, share: of.length === 0 ? 0 : of.filter(is).length / of.length };
}

function chance(told: readonly Answer[]): number {
  const kinds = new Map<string, Map<string, number>>();
  for (const { question } of told) {
    const counts = kinds.get(question.kind) ?? new Map<string, number>();
    counts.set(question.value!, (counts.get(question.value!) ?? 0) + 1);
    kinds.set(question.kind, counts);
  }
  const best = [...kinds.values()].reduce((sum, counts) => sum + Math.max(...counts.values()), 0);
  return told.length === 0 ? 0 : best / told.length;
}
