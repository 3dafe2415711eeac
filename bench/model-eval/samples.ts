/** What does a model say, and how varied is it? Replies to fixed prompts with fixed seeds. */

import { createState, type Model, prefill } from "../../shared/engine.ts";
import { generate } from "../../shared/generate.ts";
import type { TextSide } from "../../shared/load-text-side.ts";
import { parseSampling } from "../../shared/sampler/parse-options.ts";
import type { ChatMessage } from "../../shared/tokenizer/chat-template.ts";

const user = (...content: string[]): ChatMessage[] =>
  content.map((text, turn) => ({ role: turn % 2 === 0 ? "user" : "assistant", content: text }));

export const PROMPTS: readonly (readonly ChatMessage[])[] = [
  user("Hello!"),
  user("Good morning! How are you today?"),
  user("Who are you?"),
  user("What can you do?"),
  user("What do you like?"),
  user("What is your favorite color?"),
  user("I like to eat pancakes."),
  user("I am a little sad today."),
  user("Tell me a story."),
  user("Tell me a story about a fox."),
  user("Please tell me a story about a brave girl and a kite."),
  user("Can you tell me a bedtime story about an old whale?"),
  user("Write a poem about the moon."),
  user("Tell me a joke."),
  user("What should I do on a rainy day?"),
  user("Where do penguins live?"),
  user("What is the capital of France?"),
  user("My name is Mira. What is my name?"),
  user("Tell me a story about a mouse.", "Once upon a time, a mouse named Pip found a red drum.", "And then?"),
  [{ role: "system", content: "Your name is Coco. Be kind." }, ...user("Who are you?")],
];

export interface Samples {
  readonly replies: readonly { readonly messages: readonly ChatMessage[]; readonly reply: string }[];
  /** Different sequences of 1, 2 and 3 words, as a share of all. */
  readonly distinct: readonly [number, number, number];
  /** Words that end a sequence of four words which the same reply had before. */
  readonly repetition: number;
  readonly words: number;
}

const MAX_TOKENS = 320;

/** One reply to each prompt; the seed is its number. */
export async function samples(model: Model, { tokenizer, chat }: TextSide, prompts = PROMPTS): Promise<Samples> {
  const replies = [];
  for (const [seed, messages] of prompts.entries()) {
    const ids = chat!.openTurns(messages);
    const state = createState(model);
    const logits = await prefill(model, state, ids);
    const sampling = parseSampling({ temperature: 0.7, topP: 0.95, seed });
    let reply = "";
    const tokens = generate(model, tokenizer, state, logits, ids, { sampling, maxTokens: MAX_TOKENS });
    for (;;) {
      const next = await tokens.next();
      reply += next.done ? next.value.rest : next.value.text;
      if (next.done) break;
    }
    replies.push({ messages, reply });
  }
  const texts = replies.map(({ reply }) => reply.toLowerCase().match(/[\w']+/g) ?? []);
  const repeated = texts.flatMap((words) => {
    const sequences = ngrams(words, 4);
    return sequences.map((sequence, at) => sequences.indexOf(sequence) < at);
  });
  return {
    replies,
    distinct: [1, 2, 3].map((n) => distinct(texts.flatMap((words) => ngrams(words, n)))) as [number, number, number],
    repetition: repeated.filter(Boolean).length / repeated.length,
    words: texts.reduce((sum, words) => sum + words.length, 0),
  };
}

const distinct = (sequences: readonly string[]) => new Set(sequences).size / sequences.length;

function ngrams(words: readonly string[], n: number): string[] {
  return words.slice(n - 1).map((_, at) => words.slice(at, at + n).join(" "));
}
