/** POST /v1/completions: a text goes on. Nothing is kept, so an Idempotency-Key has nothing to protect. */

import { createRoute } from "@hono/zod-openapi";
import type { StatelessPrompt, StatelessRequest } from "../../conversation/stateless-types.ts";
import { type CompletionRequest, completion, completionRequest } from "../../protocol/completions.ts";
import { DEFAULT_COMPLETION_TOKENS, MAX_CHOICES } from "../../protocol/limits.ts";
import { ApiError } from "../api-error.ts";
import { type Envelope, fingerprintOf } from "../chat-chunks.ts";
import { CompletionChunks, wholeCompletion } from "../completion-chunks.ts";
import { type App, findModel, jsonBody, type Scope, scopeOf, streamable, tellError } from "../context.ts";
import { checkLogprobs, checkStreamOptions, failedResponse, wasAbandoned } from "../request-rules.ts";
import { reportedSeed, samplingRecord, stopList } from "../sampling.ts";
import type { ModelListing, Services } from "../services.ts";
import { comment, DONE, type Frames, frame, sseResponse } from "../sse.ts";
import { drain, fromComputation, type TurnSource } from "../turn-source.ts";

const create = createRoute({
  method: "post",
  path: "/v1/completions",
  summary: "Continue a text",
  request: { body: jsonBody(completionRequest) },
  responses: streamable("The continuation, or its chunks with `stream: true`.", completion, completion),
});

export function addCompletionRoutes(app: App, services: Services): void {
  app.openapi(create, async (context) => {
    const body = context.req.valid("json");
    const model = findModel(services, body.model);
    checkStreamOptions(body);
    const request = requestOf(body, model, services);
    const source = await fromComputation((signal) => services.stateless.run(request, signal), services.now);
    const envelope: Envelope = {
      id: `cmpl-${crypto.randomUUID().replaceAll("-", "")}`,
      created: Math.floor(services.now() / 1000),
      model: model.id,
      ...fingerprintOf(source.first?.type === "start" ? source.first.response : null),
      seed: reportedSeed(request.sampling),
    };
    if (body.stream) {
      const chunks = new CompletionChunks(envelope, request.choices);
      return streamed(scopeOf(services, context), source, chunks, body.stream_options?.include_usage ?? false);
    }
    const responses = await drain(source, context.req.raw.signal);
    if (responses.length < request.prompts.length * request.choices) throw wasAbandoned();
    for (const response of responses) if (response.status === "failed") throw failedResponse(response);
    return context.json(wholeCompletion(envelope, responses, request.choices), 200);
  });
}

function requestOf(body: CompletionRequest, model: ModelListing, services: Services): StatelessRequest {
  const choices = body.n ?? 1;
  const prompts = promptsOf(body.prompt);
  if (prompts.length * choices > MAX_CHOICES) {
    throw new ApiError(
      400,
      "invalid_value",
      `Invalid 'n': ${prompts.length} prompts with ${choices} replies each are more than ${MAX_CHOICES} replies.`,
      { param: "n" },
    );
  }
  const maxTokens = body.max_tokens ?? DEFAULT_COMPLETION_TOKENS;
  const asked = { logprobs: body.logprobs !== null && body.logprobs !== undefined, topLogprobs: body.logprobs ?? 0 };
  checkLogprobs(asked, maxTokens * prompts.length * choices, "logprobs");
  return {
    model: model.id,
    prompts,
    sampling: samplingRecord(body, services, asked),
    maxTokens,
    stop: stopList(body.stop),
    choices,
    metadata: {},
  };
}

function promptsOf(prompt: CompletionRequest["prompt"]): StatelessPrompt[] {
  if (typeof prompt === "string") return [{ kind: "text", text: prompt }];
  if (typeof prompt[0] === "number") return [{ kind: "tokens", tokens: prompt as number[] }];
  return (prompt as (string | number[])[]).map((one) =>
    typeof one === "string" ? { kind: "text", text: one } : { kind: "tokens", tokens: one },
  );
}

function streamed(scope: Scope, source: TurnSource, chunks: CompletionChunks, includeUsage: boolean): Response {
  let isOver = false;
  const frames: Frames = {
    async next() {
      if (isOver) return null;
      const event = await source.next();
      if (event === null) {
        isOver = true;
        return (includeUsage ? frame(chunks.usage()) : "") + DONE;
      }
      if (event.type === "prefill") return comment(`prefill ${event.done}/${event.total}`);
      if (event.type === "end" && event.response.status === "failed") throw failedResponse(event.response);
      const chunk = chunks.encode(event);
      return chunk ? frame(chunk) : "";
    },
    onError(error) {
      void source.cancel();
      return frame(tellError(scope, error)); // and no [DONE]: what has one is whole
    },
    cancel: () => source.cancel(),
  };
  return sseResponse(frames, source.patience);
}
