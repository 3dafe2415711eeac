/** Errors as data: what crosses an RPC boundary keeps its status and sentence, and nothing else of an error. */

import { AerieError, OptionError } from "../errors.ts";
import { CheckpointLost } from "./checkpoints.ts";
import { BusyError, ModelError } from "./model-source.ts";
import { PromptError } from "./prompt.ts";
import { LogLost } from "./replay.ts";
import type { Answer, Refusal } from "./types.ts";

/** Thrown inside the core; becomes the `Answer` of a port. */
export class RefusedError extends AerieError {
  readonly refusal: Refusal;

  constructor(
    status: Refusal["status"],
    code: string,
    message: string,
    options: { param?: string; retryAfterSeconds?: number } = {},
  ) {
    super(code, message);
    const { param = null, retryAfterSeconds } = options;
    this.refusal = { status, code, message, param, ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) };
  }
}

export async function answering<Value>(body: () => Promise<Value> | Value): Promise<Answer<Value>> {
  try {
    return { ok: true, value: await body() };
  } catch (error) {
    const refusal = refusalOf(error);
    if (!refusal) throw error;
    return { ok: false, error: refusal };
  }
}

/** null: nobody's mistake but ours. */
export function refusalOf(error: unknown): Refusal | null {
  if (error instanceof RefusedError) return error.refusal;
  if (error instanceof BusyError) {
    const { message, retryAfterSeconds } = error;
    return { status: 429, code: "overloaded", message, param: null, retryAfterSeconds };
  }
  if (error instanceof ModelError) {
    const [status, code] = modelRefusals[error.code] ?? [503, "model_unavailable"];
    return { status, code, message: error.message, param: "model" };
  }
  if (error instanceof CheckpointLost || error instanceof LogLost)
    return {
      status: 500,
      code: "state_lost",
      message: `${error.message}: begin a conversation from its messages`,
      param: null,
    };
  if (error instanceof PromptError) return invalid(error.message, "input");
  if (error instanceof OptionError) {
    const param = snakeCase(error.param); // as the wire spells it
    return invalid(error.message.replaceAll(error.param, param), param);
  }
  return null;
}

const modelRefusals: Readonly<Record<string, readonly [Refusal["status"], string]>> = {
  "model.unknown": [404, "model_not_found"],
  "model.too-large": [400, "model_too_large"], // asking again won't help
};

function invalid(message: string, param: string): Refusal {
  return { status: 400, code: "invalid_value", message, param };
}

const snakeCase = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
