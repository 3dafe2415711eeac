/** The shape of every error that crosses the wire: OpenAI's, so that any client's error classes fit. */

import { z } from "@hono/zod-openapi";

/** OpenAI's values: a wrong key is an `invalid_request_error` there too, told apart by its status and code. */
export const errorTypes = ["invalid_request_error", "rate_limit_error", "server_error"] as const;
export type ErrorType = (typeof errorTypes)[number];

export const errorBody = z
  .object({
    error: z.object({
      message: z.string().meta({ description: "A sentence: what, what was expected, what was found." }),
      type: z.enum(errorTypes),
      param: z.string().nullable().meta({ description: "The parameter at fault, as a path: messages[0].content." }),
      code: z
        .string()
        .nullable()
        .meta({ description: "Stable, for programs: unsupported_parameter, conversation_busy…" }),
    }),
  })
  .openapi("Error");
export type ErrorBody = z.infer<typeof errorBody>;
