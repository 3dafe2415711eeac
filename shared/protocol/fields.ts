/** Fields that several requests share, and how a field that Aerie can't honour is refused. */

import { z } from "@hono/zod-openapi";
import {
  MAX_CHOICES,
  MAX_LOGIT_BIASES,
  MAX_METADATA_KEY,
  MAX_METADATA_PAIRS,
  MAX_METADATA_VALUE,
  MAX_OUTPUT_TOKENS,
  MAX_PROMPT_TOKEN_IDS,
  MAX_STOP_CHARACTERS,
  MAX_STOPS,
} from "./limits.ts";

/** `params` of the issue that `unsupported` raises, for the error's code. */
export const UNSUPPORTED = "unsupported";

/**
 * A parameter of OpenAI's that Aerie does not have. Absent, null and values that ask for nothing are fine; anything else
 * is refused by name, because a reply that ignored it would be wrong without a sign of it.
 */
export function unsupported(isNeutral: (value: unknown) => boolean = () => false) {
  return z
    .unknown()
    .superRefine((value, context) => {
      if (value === undefined || value === null || isNeutral(value)) return;
      context.addIssue({ code: "custom", message: "not supported with this value", params: { [UNSUPPORTED]: true } });
    })
    .optional()
    .meta({ description: "Not supported: only null or a value that asks for nothing is accepted." });
}

export const isEmptyList = (value: unknown): boolean => Array.isArray(value) && value.length === 0;

export function isOneOf(...values: unknown[]): (value: unknown) => boolean {
  return (value) => values.includes(value);
}

/** An object in which every key has a neutral value: `{ effort: null }`. An unknown key is not neutral. */
export function isNeutralObject(fields: Readonly<Record<string, (value: unknown) => boolean>>) {
  return (value: unknown): boolean =>
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    Object.entries(value).every(
      ([key, field]) => field === null || (Object.hasOwn(fields, key) && fields[key]!(field)),
    );
}

const tokenId = z.int().min(0);

/**
 * A list of token ids, with at least so many. Of wrong ones the first alone is told: a list has room for more of them than zod
 * can hand on as arguments.
 */
export const tokenIdList = (least: number) =>
  z
    .array(z.unknown())
    .min(least)
    .max(MAX_PROMPT_TOKEN_IDS)
    .superRefine((ids, context) => {
      const at = ids.findIndex((id) => !tokenId.safeParse(id).success);
      const [issue] = at < 0 ? [] : (tokenId.safeParse(ids[at]).error?.issues ?? []);
      if (issue) context.addIssue({ ...issue, path: [at] } as z.core.$ZodRawIssue as never);
    })
    .openapi({ items: { type: "integer", minimum: 0 } }) as unknown as z.ZodType<number[]>;

/** Accepted and of no effect: they name the caller's user or steer OpenAI's own caches and queues. */
export const harmlessFields = {
  user: z.string().max(512).nullish(),
  safety_identifier: z.string().max(512).nullish(),
  prompt_cache_key: z.string().max(512).nullish(),
  prompt_cache_retention: z.enum(["in_memory", "24h"]).nullish(),
  service_tier: z.enum(["auto", "default"]).nullish(),
  parallel_tool_calls: z.boolean().nullish(),
};

export const modelField = z.string().max(256).nullish().meta({ description: "Default: the deployment's own model." });

export const metadataField = z
  .record(z.string().max(MAX_METADATA_KEY), z.string().max(MAX_METADATA_VALUE))
  .refine((pairs) => Object.keys(pairs).length <= MAX_METADATA_PAIRS, {
    error: `expected at most ${MAX_METADATA_PAIRS} pairs`,
  })
  .nullish()
  .meta({ description: "Up to 16 pairs; keys up to 64 characters, values up to 512." });

export const maxTokensField = z.int().min(1).max(MAX_OUTPUT_TOKENS).nullish();
export const choicesField = z.int().min(1).max(MAX_CHOICES).nullish();
export const topLogprobsField = z.int().min(0).max(20).nullish();
export const streamField = z.boolean().nullish();

const stopString = z.string().min(1).max(MAX_STOP_CHARACTERS);

/** The sampler's options as they are written in a request. */
export const samplingFields = {
  temperature: z.number().min(0).max(2).nullish().meta({ description: "0: always the likeliest token. Default 1." }),
  top_p: z.number().min(0).max(1).nullish(),
  top_k: z.int().min(0).nullish().meta({ description: "Keeps the k likeliest tokens; 0 (default): all." }),
  min_p: z.number().min(0).max(1).nullish(),
  typical_p: z.number().gt(0).max(1).nullish(),
  repetition_penalty: z.number().min(0.01).max(100).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  logit_bias: z
    .record(z.string().regex(/^(0|[1-9][0-9]{0,8})$/, "expected a token id as key"), z.number().min(-100).max(100))
    .refine((biases) => Object.keys(biases).length <= MAX_LOGIT_BIASES, {
      error: `expected at most ${MAX_LOGIT_BIASES} tokens`,
    })
    .nullish(),
  seed: z
    .int()
    .nullish()
    .meta({ description: "Same request, same seed: same reply. Without one, one is drawn and reported." }),
  stop: z
    .union([stopString, z.array(stopString).max(MAX_STOPS)])
    .nullish()
    .meta({ description: `Up to ${MAX_STOPS} strings of up to ${MAX_STOP_CHARACTERS} characters.` }),
};
export interface SamplingFields extends z.infer<z.ZodObject<typeof samplingFields>> {}

/** Always empty here; clients expect the list. */
// OpenAPI has no word for an element that can't be; with maxItems 0 any will do.
export const emptyList = z.array(z.never().openapi({ type: "null" })).max(0);

/** Aerie's own: what a reply cost, so that nobody has to take `cached_tokens` on trust. */
export const processedTokens = z.int().meta({
  description: "Tokens that went through the model, counted there: input that was not cached, and output.",
});

export const usageTotals = { turns: z.int(), input_tokens: z.int(), cached_tokens: z.int(), output_tokens: z.int() };
