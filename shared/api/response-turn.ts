/** A turn of /v1/responses: what it continues, where it runs. */

import type { Parent, TurnRequest } from "../conversation/types.ts";
import { DEFAULT_OUTPUT_TOKENS } from "../protocol/limits.ts";
import { type PlainMessage, plainMessage } from "../protocol/messages.ts";
import { LOGPROBS, type ResponseRequest } from "../protocol/responses.ts";
import { ApiError } from "./api-error.ts";
import {
  beginAtPlace,
  beginFresh,
  beginTurn,
  type Idempotency,
  type RunningTurn,
  type TurnDraft,
} from "./begin-turn.ts";
import { locate, type Scope } from "./context.ts";
import { checkLogprobs } from "./request-rules.ts";
import { samplingRecord, stopList } from "./sampling.ts";
import type { ModelListing, Services } from "./services.ts";

export function responseDraft(body: ResponseRequest, model: ModelListing, services: Services): TurnDraft {
  const topLogprobs = body.top_logprobs ?? 0;
  const logprobs = topLogprobs > 0 || (body.include ?? []).includes(LOGPROBS);
  const maxTokens = body.max_output_tokens ?? DEFAULT_OUTPUT_TOKENS;
  checkLogprobs({ logprobs, topLogprobs }, maxTokens, "top_logprobs");
  return {
    model: model.id,
    sampling: samplingRecord(body, services, { logprobs, topLogprobs }),
    maxTokens,
    stop: stopList(body.stop),
    choices: 1,
    metadata: body.metadata ?? {},
    stored: body.store ?? false,
    background: body.background ?? false,
    whenUnread: "go on", // it has an id by which it can be read later
  };
}

/** Combinations that contradict each other. */
export function checkResponseRequest(body: ResponseRequest): void {
  const invalid = (param: string, why: string) =>
    new ApiError(400, "invalid_value", `Invalid '${param}': ${why}.`, { param });
  const follows = body.previous_response_id ? "previous_response_id" : body.conversation ? "conversation" : null;
  if (body.previous_response_id && body.conversation) {
    throw invalid("previous_response_id", "it can't be given together with 'conversation'");
  }
  if (body.store === false && follows)
    throw invalid("store", `a response that is not kept can't continue '${follows}'`);
  if (body.store === false && body.background) throw invalid("background", "a background response has to be kept");
  if (!body.stream && body.stream_options) throw invalid("stream_options", "it is only allowed when 'stream' is true");
  // Behind a conversation there may be items that wait for a reply.
  const isEmpty = body.input === null || body.input === undefined;
  if (isEmpty && !body.conversation) {
    throw new ApiError(400, "missing_required_parameter", "Missing required parameter: 'input'.", { param: "input" });
  }
}

export function responseInput(body: ResponseRequest): PlainMessage[] {
  if (typeof body.input === "string") return [{ role: "user", content: body.input }];
  return (body.input ?? []).map(plainMessage);
}

export async function beginResponse(
  scope: Scope,
  body: ResponseRequest,
  draft: TurnDraft,
  { quiet, idempotency }: { readonly quiet: boolean; readonly idempotency: Idempotency | undefined },
): Promise<RunningTurn> {
  const request: Omit<TurnRequest, "parent"> = {
    ...draft,
    input: responseInput(body),
    ...(body.instructions === null || body.instructions === undefined ? {} : { instructions: body.instructions }),
    ...(idempotency ? { idempotency } : {}),
  };
  const followed = await parentOf(scope, body);
  const place = followed
    ? { object: followed.object, node: followed.parent.kind === "node" ? followed.parent.node : null }
    : { object: scope.services.newObject(), node: null };
  return beginAtPlace(scope, idempotency, place, ({ object }) =>
    followed
      ? beginTurn(scope, object, { ...request, parent: followed.parent }, quiet)
      : beginFresh(scope, object, request, quiet),
  );
}

async function parentOf(
  scope: Scope,
  { previous_response_id: previous, conversation }: ResponseRequest,
): Promise<{ readonly object: string; readonly parent: Parent } | null> {
  if (previous) {
    const { target } = await locate(scope, "response", previous, "previous_response_id");
    return { object: target.object, parent: { kind: "node", node: target.number } };
  }
  if (conversation) {
    const id = typeof conversation === "string" ? conversation : conversation.id;
    const { target } = await locate(scope, "conversation", id, "conversation");
    return { object: target.object, parent: { kind: "branch", branch: target.number } };
  }
  return null;
}
