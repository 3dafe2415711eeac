/** Messages as clients send them: roles, plain strings or lists of text parts, and replies sent back as they came. */

import { z } from "@hono/zod-openapi";
import { isEmptyList, isOneOf, unsupported } from "./fields.ts";
import { MAX_MESSAGES } from "./limits.ts";

const textParts = z
  .discriminatedUnion("type", [
    z.strictObject({ type: z.literal("text"), text: z.string() }),
    z.strictObject({ type: z.literal("input_text"), text: z.string() }),
    z.strictObject({
      type: z.literal("output_text"),
      text: z.string(),
      annotations: unsupported(isEmptyList),
      // A client that sends a reply back as it came sends these along; they say nothing new.
      logprobs: z.array(z.unknown()).nullish(),
      parsed: unsupported(), // the official client's helpers add it
    }),
  ])
  .array()
  .max(256);

const content = z.union([z.string(), textParts], { error: "expected a string or a list of text parts" });

/** `developer` is OpenAI's newer word for `system`. */
const roles = z.enum(["system", "developer", "user", "assistant"]);

/** One of /v1/chat/completions' `messages`. */
export const chatMessage = z
  .strictObject({
    role: roles,
    content: content.nullish(), // null in an assistant's message: an empty reply
    name: unsupported(),
    refusal: unsupported(),
    annotations: unsupported(isEmptyList),
    audio: unsupported(),
    parsed: unsupported(), // the official client's helpers add it
    function_call: unsupported(),
    tool_calls: unsupported(isEmptyList),
    tool_call_id: unsupported(),
  })
  .refine((message) => message.role === "assistant" || (message.content !== null && message.content !== undefined), {
    path: ["content"],
    error: "expected a string or a list of text parts",
  })
  .openapi("ChatMessage");

/** One of /v1/responses' `input` items or of a conversation's items. */
export const inputMessage = z
  .strictObject({
    type: z.literal("message").nullish(),
    role: roles,
    content,
    id: z.string().max(256).nullish(), // of a reply that is sent back as it came
    status: z.enum(["in_progress", "completed", "incomplete"]).nullish(),
    phase: unsupported(isOneOf("final_answer")),
  })
  .openapi("InputMessage");

export const chatMessages = z.array(chatMessage).min(1).max(MAX_MESSAGES);
export const inputMessages = z.array(inputMessage).min(1).max(MAX_MESSAGES);

export interface PlainMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** The same message however it was written: `developer` is `system`, the parts of a text are joined. */
export function plainMessage(message: z.infer<typeof chatMessage> | z.infer<typeof inputMessage>): PlainMessage {
  const { role, content } = message;
  return {
    role: role === "developer" ? "system" : role,
    content: typeof content === "string" ? content : (content ?? []).map((part) => part.text).join(""),
  };
}
