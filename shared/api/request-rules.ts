/** Rules that span several fields of a request, and how a reply that did not come about is told. */

import type { ResponseRecord } from "../conversation/types.ts";
import { MAX_LOGPROBS } from "../protocol/limits.ts";
import { ApiError, toApiError } from "./api-error.ts";

export function checkStreamOptions(body: { stream?: boolean | null | undefined; stream_options?: unknown }): void {
  if (body.stream || body.stream_options === null || body.stream_options === undefined) return;
  throw new ApiError(400, "invalid_value", "Invalid 'stream_options': it is only allowed when 'stream' is true.", {
    param: "stream_options",
  });
}

/** `max_tokens` is the older name of `max_completion_tokens`; two different bounds can't both be meant. */
export function oneMaxTokens(newer: number | null | undefined, older: number | null | undefined): number | null {
  if (newer && older && newer !== older) {
    throw new ApiError(
      400,
      "invalid_value",
      `Invalid 'max_tokens': it is ${older} while 'max_completion_tokens' is ${newer}; give one of them.`,
      { param: "max_tokens" },
    );
  }
  return newer ?? older ?? null;
}

/** How many log-probabilities a request may ask for in all. `param` is what it asks for them by. */
export function checkLogprobs(
  asked: { readonly logprobs: boolean; readonly topLogprobs: number },
  outputTokens: number,
  param: string,
): void {
  const count = asked.logprobs ? outputTokens * (1 + asked.topLogprobs) : 0;
  if (count > MAX_LOGPROBS)
    throw new ApiError(
      400,
      "invalid_value",
      `Invalid '${param}': ${outputTokens} output tokens with ${asked.topLogprobs} others each are ${count} log-probabilities, at most ${MAX_LOGPROBS} can be had at once; ask for fewer tokens or fewer others.`,
      { param },
    );
}

export function failedResponse({ error }: ResponseRecord): ApiError {
  return new ApiError(500, error?.code ?? "server_error", error?.message ?? "The reply could not be computed.");
}

/** The client left before the end; nobody reads this. */
export function wasAbandoned(): ApiError {
  return new ApiError(408, "request_abandoned", "The request ended before its reply.");
}

/** A conversation speaks of its `input`; a chat's client knows it as `messages`. */
export function inChatTerms(thrown: unknown): ApiError {
  const error = toApiError(thrown);
  if (error.param !== "input") return error;
  return new ApiError(error.status, error.code as string, error.message.replace(/^input\b/, "messages"), {
    param: "messages",
    cause: error.cause,
  });
}
