/** /v1/responses: the request and the queries of its routes. */

import { z } from "@hono/zod-openapi";
import {
  harmlessFields,
  isEmptyList,
  isNeutralObject,
  isOneOf,
  maxTokensField,
  metadataField,
  modelField,
  samplingFields,
  streamField,
  topLogprobsField,
  unsupported,
} from "./fields.ts";
import { DEFAULT_PAGE, MAX_PAGE } from "./limits.ts";
import { inputMessages } from "./messages.ts";

export const LOGPROBS = "message.output_text.logprobs";

/** `reasoning.encrypted_content` is asked for by many clients as a matter of course; without reasoning it adds nothing. */
const includable = z.enum([LOGPROBS, "reasoning.encrypted_content"]);

export const responseRequest = z
  .strictObject({
    model: modelField,
    input: z.union([z.string().min(1), inputMessages], { error: "expected a string or a list of messages" }).nullish(),
    instructions: z.string().nullish().meta({
      description: "The system text. Absent in a follow-up: as before. Changed: the conversation is replayed under it.",
    }),
    previous_response_id: z
      .string()
      .max(256)
      .nullish()
      .meta({ description: "Any earlier response: a second one branches." }),
    conversation: z.union([z.string().max(256), z.strictObject({ id: z.string().max(256) })]).nullish(),
    ...samplingFields,
    ...harmlessFields,
    max_output_tokens: maxTokensField,
    top_logprobs: topLogprobsField,
    include: z.array(includable).max(8).nullish(),
    stream: streamField,
    stream_options: z.strictObject({ include_obfuscation: z.boolean().nullish() }).nullish(),
    background: z.boolean().nullish(),
    store: z.boolean().nullish().meta({
      description: "true: listed, kept 30 days. Absent: unlisted, kept a day. false: nothing is kept.",
    }),
    metadata: metadataField,
    // A model of fixed state has no context to run out of, so there is never anything to truncate.
    truncation: z.enum(["auto", "disabled"]).nullish(),
    text: unsupported(
      isNeutralObject({ format: isNeutralObject({ type: isOneOf("text") }), verbosity: isOneOf("medium") }),
    ),
    reasoning: unsupported(
      isNeutralObject({ effort: isOneOf("none"), summary: () => false, generate_summary: () => false }),
    ),
    tools: unsupported(isEmptyList),
    tool_choice: unsupported(isOneOf("none", "auto")),
    max_tool_calls: unsupported(),
    access_programs: unsupported(),
    context_management: unsupported(isEmptyList),
    image: unsupported(),
    moderation: unsupported(),
    prompt: unsupported(),
    prompt_cache_options: unsupported(),
  })
  .openapi("ResponseRequest");
export type ResponseRequest = z.infer<typeof responseRequest>;

/** What a query says is text; lists come as `include=a&include=b` or, from some clients, `include[]=a`. */
const flag = z.enum(["true", "false"]).transform((text) => text === "true");
const wholeNumber = z
  .string()
  .regex(/^(0|[1-9][0-9]{0,14})$/, "expected a whole number, 0 or more")
  .transform(Number);
const includeList = z.union([includable.transform((one) => [one]), z.array(includable).max(8)]);

export const retrieveQuery = z.strictObject({
  stream: flag.optional(),
  starting_after: wholeNumber
    .optional()
    .meta({ description: "With stream: only events with a higher sequence_number." }),
  include: includeList.optional(),
  "include[]": includeList.optional(),
  include_obfuscation: flag.optional(),
});

export const pageQuery = z.strictObject({
  after: z.string().max(256).optional(),
  limit: wholeNumber
    .refine((limit) => limit >= 1 && limit <= MAX_PAGE, { error: `expected 1 to ${MAX_PAGE}` })
    .default(DEFAULT_PAGE),
  order: z.enum(["asc", "desc"]).default("desc"),
  include: includeList.optional(),
  "include[]": includeList.optional(),
});
export type PageQuery = z.infer<typeof pageQuery>;
