/** What concerns everything a tenant has: usage, export, erasure. */

import { z } from "@hono/zod-openapi";
import { usageTotals } from "./fields.ts";

export const usageObject = z
  .object({ object: z.literal("usage"), ...usageTotals, total_tokens: z.int() })
  .openapi("Usage");

export const erasedObject = z
  .object({
    object: z.literal("data.deleted"),
    deleted: z.boolean().meta({ description: "false: some could not be erased." }),
    conversations: z.int().meta({ description: "Conversations erased by this call, listed and unlisted." }),
    failed: z.int().meta({ description: "Conversations that could not be erased by this call: call again later." }),
    has_more: z.boolean().meta({ description: "true: call again." }),
  })
  .openapi("ErasedData");
