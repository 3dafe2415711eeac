/** /v1/completions: plain text in, its continuation out. Nothing is kept. */

import { z } from "@hono/zod-openapi";
import { completionUsage, streamOptions } from "./chat.ts";
import {
  choicesField,
  maxTokensField,
  modelField,
  samplingFields,
  streamField,
  tokenIdList,
  unsupported,
} from "./fields.ts";
import { MAX_CHOICES } from "./limits.ts";

const tokenIds = tokenIdList(1);

export const completionRequest = z
  .strictObject({
    model: modelField,
    prompt: z
      .union(
        [z.string(), tokenIds, z.array(z.string()).min(1).max(MAX_CHOICES), z.array(tokenIds).min(1).max(MAX_CHOICES)],
        {
          error: "expected a string, a list of token ids, or a list of up to 8 of either",
        },
      )
      .meta({ description: "Text or token ids; a list gets a reply for each." }),
    ...samplingFields,
    n: choicesField,
    max_tokens: maxTokensField.meta({ description: "Default 16, as OpenAI's." }),
    logprobs: z.int().min(0).max(20).nullish(),
    stream: streamField,
    stream_options: streamOptions,
    user: z.string().max(512).nullish(),
    best_of: unsupported((value) => value === 1),
    echo: unsupported((value) => value === false),
    suffix: unsupported((value) => value === ""),
  })
  .openapi("CompletionRequest");
export type CompletionRequest = z.infer<typeof completionRequest>;

const completionLogprobs = z
  .object({
    tokens: z.array(z.string()),
    token_logprobs: z.array(z.number()),
    top_logprobs: z.array(z.record(z.string(), z.number())),
    text_offset: z.array(z.int()),
  })
  .nullable();
export type CompletionLogprobs = z.infer<typeof completionLogprobs>;

/** The reply, and each chunk of a stream. */
export const completion = z
  .object({
    id: z.string(),
    object: z.literal("text_completion"),
    created: z.int(),
    model: z.string(),
    system_fingerprint: z.string().optional(),
    seed: z.number(),
    choices: z.array(
      z.object({
        index: z.int(),
        text: z.string(),
        logprobs: completionLogprobs,
        finish_reason: z.enum(["stop", "length"]).nullable(),
      }),
    ),
    usage: completionUsage.nullish(),
  })
  .openapi("Completion");
export type Completion = z.infer<typeof completion>;
