/** /v1/chat/completions: the request, the reply, the chunks of a stream. */

import { z } from "@hono/zod-openapi";
import {
  choicesField,
  emptyList,
  harmlessFields,
  isEmptyList,
  isNeutralObject,
  isOneOf,
  maxTokensField,
  metadataField,
  modelField,
  processedTokens,
  samplingFields,
  streamField,
  topLogprobsField,
  unsupported,
} from "./fields.ts";
import { chatMessages } from "./messages.ts";
import { outputLogprob } from "./response-events.ts";

export const streamOptions = z
  .strictObject({
    include_usage: z.boolean().nullish(),
    include_obfuscation: z.boolean().nullish(), // padding against traffic analysis: there is none to leave out
  })
  .nullish();

export const chatRequest = z
  .strictObject({
    model: modelField,
    messages: chatMessages,
    ...samplingFields,
    ...harmlessFields,
    n: choicesField,
    max_completion_tokens: maxTokensField,
    max_tokens: maxTokensField,
    logprobs: z.boolean().nullish(),
    top_logprobs: topLogprobsField,
    stream: streamField,
    stream_options: streamOptions,
    store: z.boolean().nullish().meta({
      description: "true: listed, kept 30 days. Absent: unlisted, kept a day for prefix reuse. false: nothing is kept.",
    }),
    metadata: metadataField,
    modalities: unsupported((value) => Array.isArray(value) && value.length === 1 && value[0] === "text"),
    response_format: unsupported(isNeutralObject({ type: isOneOf("text") })),
    reasoning_effort: unsupported(isOneOf("none")),
    verbosity: unsupported(isOneOf("medium")),
    tools: unsupported(isEmptyList),
    tool_choice: unsupported(isOneOf("none", "auto")),
    functions: unsupported(isEmptyList),
    function_call: unsupported(isOneOf("none", "auto")),
    audio: unsupported(),
    moderation: unsupported(),
    prediction: unsupported(),
    prompt_cache_options: unsupported(),
    web_search_options: unsupported(),
  })
  .openapi("ChatCompletionRequest");
export type ChatRequest = z.infer<typeof chatRequest>;

const choiceLogprobs = z.object({ content: z.array(outputLogprob), refusal: z.null() }).nullable();
export type ChatLogprobs = z.infer<typeof choiceLogprobs>;

export const completionUsage = z
  .object({
    prompt_tokens: z.int(),
    completion_tokens: z.int(),
    total_tokens: z.int(),
    prompt_tokens_details: z.object({
      cached_tokens: z.int().meta({ description: "Tokens of the prompt that no model pass had to process." }),
    }),
    processed_tokens: processedTokens,
  })
  .openapi("CompletionUsage");
export type CompletionUsage = z.infer<typeof completionUsage>;

const finishReason = z.enum(["stop", "length"]);
const envelope = {
  id: z.string(),
  created: z.int(),
  model: z.string(),
  system_fingerprint: z.string().optional(),
  seed: z.number().meta({ description: "The seed that was used: send it again for the same reply." }),
};

export const chatCompletion = z
  .object({
    ...envelope,
    object: z.literal("chat.completion"),
    choices: z.array(
      z.object({
        index: z.int(),
        message: z.object({
          role: z.literal("assistant"),
          content: z.string(),
          refusal: z.null(),
          annotations: emptyList,
        }),
        logprobs: choiceLogprobs,
        finish_reason: finishReason,
      }),
    ),
    usage: completionUsage,
    service_tier: z.literal("default"),
    metadata: z.record(z.string(), z.string()),
  })
  .openapi("ChatCompletion");
export type ChatCompletion = z.infer<typeof chatCompletion>;

export const chatChunk = z
  .object({
    ...envelope,
    object: z.literal("chat.completion.chunk"),
    choices: z.array(
      z.object({
        index: z.int(),
        delta: z.object({
          role: z.literal("assistant").optional(),
          content: z.string().optional(),
          refusal: z.null().optional(),
        }),
        logprobs: choiceLogprobs,
        finish_reason: finishReason.nullable(),
      }),
    ),
    usage: completionUsage.nullish(),
  })
  .openapi("ChatCompletionChunk");
export type ChatChunk = z.infer<typeof chatChunk>;
