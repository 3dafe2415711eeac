/** A response and the events of its stream, as they cross the wire. */

import { z } from "@hono/zod-openapi";
import { emptyList, processedTokens } from "./fields.ts";

const tokenLogprob = z.object({ token: z.string(), logprob: z.number(), bytes: z.array(z.int()) });
export const outputLogprob = tokenLogprob.extend({ top_logprobs: z.array(tokenLogprob) });
export type OutputLogprob = z.infer<typeof outputLogprob>;

export const itemStatus = z.enum(["in_progress", "completed", "incomplete"]);

const outputText = z.object({
  type: z.literal("output_text"),
  text: z.string(),
  annotations: emptyList,
  logprobs: z.array(outputLogprob),
});
export type OutputTextPart = z.infer<typeof outputText>;

export const outputMessage = z
  .object({
    id: z.string(),
    type: z.literal("message"),
    status: itemStatus,
    role: z.literal("assistant"),
    content: z.array(outputText),
  })
  .openapi("OutputMessage");
export type OutputMessage = z.infer<typeof outputMessage>;

export const responseObject = z
  .object({
    id: z.string(),
    object: z.literal("response"),
    access_programs: z.null(), // the official client's type has it in every response
    created_at: z.int(),
    completed_at: z.int().nullable(),
    status: z.enum(["queued", "in_progress", "completed", "incomplete", "cancelled", "failed"]),
    background: z.boolean(),
    conversation: z.object({ id: z.string() }).nullable(),
    error: z.object({ code: z.string(), message: z.string() }).nullable(),
    incomplete_details: z.object({ reason: z.literal("max_output_tokens") }).nullable(),
    instructions: z.string().nullable(),
    max_output_tokens: z.int(),
    metadata: z.record(z.string(), z.string()),
    model: z.string(),
    output: z.array(outputMessage),
    parallel_tool_calls: z.boolean(),
    previous_response_id: z.string().nullable(),
    reasoning: z.object({ effort: z.null(), summary: z.null() }),
    seed: z.number().meta({ description: "The seed that was used: send it again for the same reply." }),
    service_tier: z.literal("default"),
    store: z.boolean().meta({ description: "Listed and kept for 30 days." }),
    temperature: z.number(),
    text: z.object({ format: z.object({ type: z.literal("text") }) }),
    tool_choice: z.literal("none"),
    tools: emptyList,
    top_logprobs: z.int(),
    top_p: z.number(),
    truncation: z.literal("disabled"),
    usage: z
      .object({
        input_tokens: z.int(),
        input_tokens_details: z.object({
          cached_tokens: z.int().meta({ description: "Tokens of the input that no model pass had to process." }),
          cache_write_tokens: z.literal(0), // OpenAI's price for filling its cache; keeping a state costs nothing extra
        }),
        output_tokens: z.int(),
        output_tokens_details: z.object({ reasoning_tokens: z.literal(0) }),
        total_tokens: z.int(),
        processed_tokens: processedTokens,
      })
      .nullable(),
  })
  .openapi("Response");
export type ResponseObject = z.infer<typeof responseObject>;

const numbered = { sequence_number: z.int() };
const inOutput = { output_index: z.int(), ...numbered };
const inContent = { item_id: z.string(), content_index: z.int(), ...inOutput };

/** In this order; `sequence_number` counts from 0 and is the same however often a response is streamed. */
export const responseEvent = z
  .discriminatedUnion("type", [
    z.object({ type: z.literal("response.created"), response: responseObject, ...numbered }),
    z.object({ type: z.literal("response.in_progress"), response: responseObject, ...numbered }),
    z.object({ type: z.literal("response.output_item.added"), item: outputMessage, ...inOutput }),
    z.object({ type: z.literal("response.content_part.added"), part: outputText, ...inContent }),
    z.object({
      type: z.literal("response.output_text.delta"),
      delta: z.string(),
      logprobs: z.array(outputLogprob),
      ...inContent,
    }),
    z.object({
      type: z.literal("response.output_text.done"),
      text: z.string(),
      logprobs: z.array(outputLogprob),
      ...inContent,
    }),
    z.object({ type: z.literal("response.content_part.done"), part: outputText, ...inContent }),
    z.object({ type: z.literal("response.output_item.done"), item: outputMessage, ...inOutput }),
    z.object({ type: z.literal("response.completed"), response: responseObject, ...numbered }),
    z.object({ type: z.literal("response.incomplete"), response: responseObject, ...numbered }),
    z.object({ type: z.literal("response.failed"), response: responseObject, ...numbered }),
  ])
  .openapi("ResponseStreamEvent");
export type ResponseEvent = z.infer<typeof responseEvent>;
