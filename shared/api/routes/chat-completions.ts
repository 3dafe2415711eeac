/** POST /v1/chat/completions. */

import { createRoute } from "@hono/zod-openapi";
import {
  type ChatRequest,
  chatChunk,
  chatCompletion as chatCompletionSchema,
  chatRequest,
} from "../../protocol/chat.ts";
import { DEFAULT_OUTPUT_TOKENS } from "../../protocol/limits.ts";
import { plainMessage } from "../../protocol/messages.ts";
import { ApiError } from "../api-error.ts";
import { idempotencyOf, type TurnDraft } from "../begin-turn.ts";
import { ChatChunks, chatCompletion, type Envelope, fingerprintOf } from "../chat-chunks.ts";
import { beginKeptChat, beginPassingChat, type ChatTurn } from "../chat-turn.ts";
import { type App, findModel, jsonBody, type Scope, scopeOf, streamable, tellError } from "../context.ts";
import {
  checkLogprobs,
  checkStreamOptions,
  failedResponse,
  inChatTerms,
  oneMaxTokens,
  wasAbandoned,
} from "../request-rules.ts";
import { reportedSeed, samplingRecord, stopList } from "../sampling.ts";
import type { ModelListing, Services } from "../services.ts";
import { comment, DONE, type Frames, frame, sseResponse } from "../sse.ts";
import { drain } from "../turn-source.ts";

const create = createRoute({
  method: "post",
  path: "/v1/chat/completions",
  summary: "Create a chat completion",
  description:
    "Messages in, a reply out. Resending the whole history is cheap: what was replied before is not processed again.",
  request: { body: jsonBody(chatRequest) },
  responses: streamable("The reply, or its chunks with `stream: true`.", chatCompletionSchema, chatChunk),
});

export function addChatRoutes(app: App, services: Services): void {
  app.openapi(create, async (context) => {
    const body = context.req.valid("json");
    const scope = scopeOf(services, context);
    const model = findModel(services, body.model);
    checkStreamOptions(body);
    const draft = draftOf(body, model, services);
    const messages = body.messages.map(plainMessage);
    const quiet = !body.stream;
    const begin = async () => {
      if (body.store === false) return beginPassingChat(scope, messages, draft);
      return beginKeptChat(scope, messages, draft, { quiet, idempotency: await idempotencyOf(scope, context, body) });
    };
    const turn = await begin().catch((error: unknown) => {
      throw inChatTerms(error);
    });
    const envelope = await envelopeOf(scope, turn, draft, model);
    if (body.stream) return streamed(scope, turn, envelope, body.stream_options?.include_usage ?? false);
    const signal = context.req.raw.signal;
    const responses = await drain(turn.source, signal, turn.remember);
    if (responses.length < turn.nodes.length) throw wasAbandoned();
    for (const response of responses) if (response.status === "failed") throw failedResponse(response);
    return context.json(chatCompletion(envelope, responses, draft.metadata), 200);
  });
}

function draftOf(body: ChatRequest, model: ModelListing, services: Services): TurnDraft {
  const logprobs = body.logprobs ?? false;
  const topLogprobs = body.top_logprobs ?? 0;
  if (topLogprobs > 0 && !logprobs) {
    throw new ApiError(400, "invalid_value", "Invalid 'top_logprobs': it needs 'logprobs' to be true.", {
      param: "top_logprobs",
    });
  }
  const stored = body.store ?? false;
  const maxTokens = oneMaxTokens(body.max_completion_tokens, body.max_tokens) ?? DEFAULT_OUTPUT_TOKENS;
  checkLogprobs({ logprobs, topLogprobs }, maxTokens * (body.n ?? 1), "top_logprobs");
  return {
    model: model.id,
    sampling: samplingRecord(body, services, { logprobs, topLogprobs }),
    maxTokens,
    stop: stopList(body.stop),
    choices: body.n ?? 1,
    metadata: body.metadata ?? {},
    stored,
    background: false,
    // Nobody can ask for an unlisted reply later, so without a reader its computation would be wasted.
    whenUnread: stored ? "go on" : "stop",
  };
}

/** The id is the response's: `resp_` in place of `chatcmpl-` continues it under /v1/responses. */
async function envelopeOf(
  { services, tenant }: Scope,
  { kept, begun }: ChatTurn,
  draft: TurnDraft,
  model: ModelListing,
): Promise<Envelope> {
  const suffix = kept
    ? (await services.ids.encode(tenant, { kind: "response", object: kept.object, number: kept.node })).slice(
        "resp_".length,
      )
    : crypto.randomUUID().replaceAll("-", "");
  return {
    id: `chatcmpl-${suffix}`,
    created: begun?.createdAt ?? Math.floor(services.now() / 1000),
    model: model.id,
    ...fingerprintOf(begun),
    seed: reportedSeed((begun ?? draft).sampling), // of the first request with its key: every one draws another
  };
}

function streamed(scope: Scope, { source, nodes, remember }: ChatTurn, envelope: Envelope, includeUsage: boolean) {
  const chunks = new ChatChunks(envelope, nodes, includeUsage);
  let isOver = false;
  const frames: Frames = {
    async next() {
      if (isOver) return null;
      const event = await source.next();
      if (event === null) {
        isOver = true;
        return (
          chunks
            .finish()
            .map((chunk) => frame(chunk))
            .join("") + DONE
        );
      }
      if (event.type === "prefill") return comment(`prefill ${event.done}/${event.total}`);
      if (event.type === "end") {
        if (event.response.status === "failed") throw failedResponse(event.response);
        await remember(event.response);
      }
      return frame(chunks.encode(event));
    },
    onError(error) {
      void source.cancel();
      return frame(tellError(scope, error)); // and no [DONE]: what has one is whole
    },
    cancel: () => source.cancel(),
  };
  return sseResponse(frames, source.patience);
}
