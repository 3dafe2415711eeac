/** What goes wrong in a request, and what the client is told: one table from error to HTTP status and body. */

import { refusalOf } from "../conversation/refusal.ts";
import type { Answer, Refusal } from "../conversation/types.ts";
import { AerieError } from "../errors.ts";
import type { ErrorBody, ErrorType } from "../protocol/errors.ts";

/** Statuses with which a request is refused. */
export type ErrorStatus = 400 | 401 | 403 | 404 | 408 | 409 | 413 | 415 | 416 | 429 | 500 | 503;

/** A refusal that the client is told as it is written here. */
export class ApiError extends AerieError {
  readonly status: ErrorStatus;
  readonly param: string | null;
  readonly retryAfterSeconds: number | undefined;

  constructor(
    status: ErrorStatus,
    code: string,
    sentence: string,
    options: { param?: string | null; retryAfterSeconds?: number | undefined; cause?: unknown } = {},
  ) {
    super(code, sentence, options);
    this.status = status;
    this.param = options.param ?? null;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

const retryWhenBroken = 1;
const retryWhenBusy = 5;

/** The value of an answer, or its refusal as an error. */
export function unwrap<Value>(answer: Answer<Value>): Value {
  if (answer.ok) return answer.value;
  throw refused(answer.error);
}

export function refused(refusal: Refusal): ApiError {
  const { status, code, message, param, retryAfterSeconds } = refusal;
  return new ApiError(status, code, message, { param, retryAfterSeconds });
}

/** Whatever was thrown, as something a client may be told. What is not ours is a 500 without a word of what it was. */
export function toApiError(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown;
  const error = (typeof thrown === "object" && thrown !== null ? thrown : {}) as Record<string, unknown>;
  const refusal = isRefusal(error.refusal) ? error.refusal : refusalOf(thrown);
  if (refusal) return refused(refusal);
  // A Durable Object's own flags: too much to do, or gone for a moment (a deployment, a lost connection).
  if (error.overloaded === true) {
    return new ApiError(503, "server_overloaded", "The server has too much to do; try again later.", {
      retryAfterSeconds: retryWhenBusy,
      cause: thrown,
    });
  }
  if (error.retryable === true || error.durableObjectReset === true) {
    return new ApiError(503, "server_restarted", "The server restarted during the request; send it again.", {
      retryAfterSeconds: retryWhenBroken,
      cause: thrown,
    });
  }
  return new ApiError(500, "internal_error", "The server had an error while it processed the request.", {
    cause: thrown,
  });
}

export function errorBodyOf({ status, code, message, param }: ApiError): ErrorBody {
  return { error: { message, type: errorType(status), param, code } };
}

export function errorResponse(error: ApiError): Response {
  const headers = new Headers({ "content-type": "application/json" });
  if (error.retryAfterSeconds !== undefined) headers.set("retry-after", String(Math.ceil(error.retryAfterSeconds)));
  // OpenAI's clients take every 409 for a lock and try again; one that does not say when is none.
  if (error.status === 409 && error.retryAfterSeconds === undefined) headers.set("x-should-retry", "false");
  if (error.status === 401) headers.set("www-authenticate", "Bearer");
  return new Response(JSON.stringify(errorBodyOf(error)), { status: error.status, headers });
}

function errorType(status: ErrorStatus): ErrorType {
  if (status === 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

function isRefusal(value: unknown): value is Refusal {
  return typeof value === "object" && value !== null && "status" in value && "code" in value && "message" in value;
}
