/** The turns that are killed, and what they give when nothing disturbs them. */

import { ENDLESS } from "./default-model.ts";
import { ask, fetchFrom, type Json, outputOf } from "./http.ts";
import type { Arena } from "./kill-arena.ts";
import { ChatWriter } from "./kill-chat.ts";
import { Writer } from "./kill-clients.ts";

/** A turn with its follow-up. */
export interface Plan {
  readonly input: string;
  readonly sampling: Json;
  readonly inConversation: boolean;
  readonly isLong: boolean; // its prompt takes long enough to be hit in
}

export interface Reference {
  readonly texts: number;
  readonly milliseconds: number;
  readonly response: Json;
  readonly followUp: Json;
}

/** A short conversation for imports, forks and deletions, its state file, and the turn that follows. */
export interface ShortReference {
  readonly file: Uint8Array;
  readonly items: readonly string[];
  readonly followUp: Json;
}

export const REPLY_TOKENS = 240;
const FOLLOW_UP_TOKENS = 60;
const FOLLOW_UP = "And what happened then?";
export const SHORT_INPUT = "My name is Anna. Tell me a story about an owl.";

const sentence = (at: number) => `Tell me a story about a bird and ${at + 2} brave beavers. `;

export const plans: readonly Plan[] = [
  { temperature: 0, sentences: 40, inConversation: true },
  { temperature: 1, sentences: 40, inConversation: false },
  { temperature: 0, sentences: 1, inConversation: false },
  { temperature: 1, sentences: 30, inConversation: true },
].map(({ temperature, sentences, inConversation }, index) => ({
  sampling: { temperature, seed: 7000 + index, logit_bias: ENDLESS },
  input: Array.from({ length: sentences }, (_, at) => sentence(at + 31 * index)).join(""),
  inConversation,
  isLong: sentences > 1,
}));

/** The turn as a request, in a conversation of its own if it is to have one. */
export async function bodyOf({ runtime, key }: Arena, plan: Plan): Promise<Json> {
  const conversation = plan.inConversation ? (await ask(runtime, key, "POST", "/v1/conversations", {})).id : null;
  const place = conversation === null ? {} : { conversation };
  return { ...plan.sampling, input: plan.input, max_output_tokens: REPLY_TOKENS, stream: true, ...place };
}

export const chatBodyOf = (plan: Plan): Json => ({
  ...plan.sampling,
  messages: [{ role: "user", content: plan.input }],
  max_completion_tokens: REPLY_TOKENS,
  stream: true,
  stream_options: { include_usage: true },
});

export async function followUp({ runtime, key }: Arena, sampling: Json, response: Json): Promise<Json> {
  const conversation = (response.conversation as { id: string } | null)?.id;
  const parent = conversation ? { conversation } : { previous_response_id: response.id };
  const body = { ...sampling, input: FOLLOW_UP, max_output_tokens: FOLLOW_UP_TOKENS, ...parent };
  return ask(runtime, key, "POST", "/v1/responses", body);
}

/** The same by a client that sends the whole history again. */
export function chatFollowUp({ runtime, key }: Arena, plan: Plan, reply: string): Promise<Json> {
  return ask(runtime, key, "POST", "/v1/chat/completions", {
    ...plan.sampling,
    messages: [
      { role: "user", content: plan.input },
      { role: "assistant", content: reply },
      { role: "user", content: FOLLOW_UP },
    ],
    max_completion_tokens: FOLLOW_UP_TOKENS,
  });
}

export async function responseReference(arena: Arena, plan: Plan): Promise<Reference> {
  const body = await bodyOf(arena, plan);
  const before = performance.now();
  const reader = await new Writer(
    arena.runtime,
    arena.key,
    { body, idempotencyKey: crypto.randomUUID() },
    arena.gate,
  ).run();
  const milliseconds = performance.now() - before;
  const texts = reader.events.filter(({ type }) => type === "response.output_text.delta").length;
  const response = reader.events[reader.events.length - 1].response as Json;
  return { texts, milliseconds, response, followUp: await followUp(arena, plan.sampling, response) };
}

export async function chatReference(arena: Arena, plan: Plan): Promise<Reference> {
  const before = performance.now();
  const writer = new ChatWriter(arena, chatBodyOf(plan), crypto.randomUUID());
  await writer.run();
  const milliseconds = performance.now() - before;
  const response = { text: writer.texts.join(""), usage: writer.usage };
  return {
    texts: writer.texts.length,
    milliseconds,
    response,
    followUp: await chatFollowUp(arena, plan, response.text),
  };
}

/** A conversation with one short reply. */
export async function shortConversation(
  { runtime, key }: Pick<Arena, "runtime" | "key">,
  sampling: Json,
): Promise<Json & { id: string }> {
  const { id: conversation } = await ask(runtime, key, "POST", "/v1/conversations", {});
  const body = { ...sampling, input: SHORT_INPUT, max_output_tokens: 24, conversation };
  return ask(runtime, key, "POST", "/v1/responses", body);
}

export async function shortReference(arena: Arena, sampling: Json): Promise<ShortReference> {
  const { runtime, key } = arena;
  const response = await shortConversation(arena, sampling);
  const { id } = response.conversation as { id: string };
  const state = await fetchFrom(runtime, key, "GET", `/v1/conversations/${id}/state`);
  const file = new Uint8Array(await state.arrayBuffer());
  const items = await itemsOf(arena, id);
  return { file, items, followUp: await followUp(arena, sampling, response) };
}

/** Who said what, the newest last. */
export async function itemsOf({ runtime, key }: Arena, conversation: string): Promise<string[]> {
  const { data } = await ask(runtime, key, "GET", `/v1/conversations/${conversation}/items?order=asc`);
  return (data as { role: string; content: { text: string }[] }[]).map(
    ({ role, content }) => `${role}: ${content[0].text}`,
  );
}

export const textOf = (response: Json): string => outputOf(response as never);
