/** /v1/models, and text to token ids and back. */

import { z } from "@hono/zod-openapi";
import { modelField, tokenIdList } from "./fields.ts";

export const modelObject = z
  .object({ id: z.string(), object: z.literal("model"), created: z.int(), owned_by: z.string() })
  .openapi("Model");

export const modelList = z.object({ object: z.literal("list"), data: z.array(modelObject) }).openapi("ModelList");

export const tokenizeRequest = z.strictObject({ model: modelField, text: z.string() }).openapi("TokenizeRequest");
export const tokenizeReply = z
  .object({ object: z.literal("tokens"), model: z.string(), tokens: z.array(z.int()), count: z.int() })
  .openapi("Tokens");

export const detokenizeRequest = z
  .strictObject({ model: modelField, tokens: tokenIdList(0) })
  .openapi("DetokenizeRequest");
export const detokenizeReply = z
  .object({ object: z.literal("text"), model: z.string(), text: z.string() })
  .openapi("Text");
