/** /v1/responses: create, retrieve, stream again, cancel, delete, input items. */

import { createRoute, z } from "@hono/zod-openapi";
import { deletedObject, itemObject, listOf } from "../../protocol/conversations.ts";
import { responseEvent, responseObject as responseSchema } from "../../protocol/response-events.ts";
import { pageQuery, responseRequest, retrieveQuery } from "../../protocol/responses.ts";
import { ApiError, unwrap } from "../api-error.ts";
import { idempotencyOf } from "../begin-turn.ts";
import { splitSystem } from "../chat-turn.ts";
import { type App, findModel, jsonBody, locate, replies, type Scope, scopeOf, streamable } from "../context.ts";
import { itemPage, itemQuery } from "../items.ts";
import { wasAbandoned } from "../request-rules.ts";
import { passingIds, responseIds, responseObject } from "../response-object.ts";
import { responseStream } from "../response-stream.ts";
import { beginResponse, checkResponseRequest, responseDraft, responseInput } from "../response-turn.ts";
import type { Services } from "../services.ts";
import { drain, fromComputation, fromStream, rejoining } from "../turn-source.ts";

const params = z.object({ response_id: z.string() });

const create = createRoute({
  method: "post",
  path: "/v1/responses",
  summary: "Create a response",
  description: "Continues `previous_response_id` or `conversation` at the cost of the new tokens alone.",
  request: { body: jsonBody(responseRequest) },
  responses: streamable("The response, or its events with `stream: true`.", responseSchema, responseEvent),
});

const retrieve = createRoute({
  method: "get",
  path: "/v1/responses/{response_id}",
  summary: "Retrieve a response, or stream its events from any place",
  request: { params, query: retrieveQuery },
  responses: streamable("The response as it stands, or its events with `stream=true`.", responseSchema, responseEvent),
});

const remove = createRoute({
  method: "delete",
  path: "/v1/responses/{response_id}",
  summary: "Delete a response",
  request: { params },
  responses: replies("The response's texts and tokens are gone.", deletedObject("response")),
});

const cancel = createRoute({
  method: "post",
  path: "/v1/responses/{response_id}/cancel",
  summary: "Cancel a response",
  description: "Ends it early; what was generated stays. A response that is over is left as it is.",
  request: { params },
  responses: replies("The response as it stands.", responseSchema),
});

const inputItems = createRoute({
  method: "get",
  path: "/v1/responses/{response_id}/input_items",
  summary: "List what came before a response",
  request: { params, query: pageQuery },
  responses: replies("The items.", listOf(itemObject)),
});

export function addResponseRoutes(app: App, services: Services): void {
  app.openapi(create, async (context) => {
    const body = context.req.valid("json");
    const scope = scopeOf(services, context);
    const model = findModel(services, body.model);
    checkResponseRequest(body);
    const draft = responseDraft(body, model, services);
    const signal = context.req.raw.signal;

    if (body.store === false) {
      const { instructions, input } = splitSystem(responseInput(body));
      const texts = [body.instructions, instructions].filter((text) => typeof text === "string");
      const prompt = { kind: "chat", instructions: texts.length > 0 ? texts.join("\n\n") : null, input } as const;
      const source = await fromComputation(
        (stop) => services.stateless.run({ ...draft, prompts: [prompt] }, stop),
        services.now,
      );
      const ids = passingIds();
      if (body.stream) return responseStream(scope, source, async () => ids);
      const [response] = await drain(source, signal);
      if (!response) throw wasAbandoned();
      return context.json(responseObject(ids, response), 200);
    }

    const idempotency = await idempotencyOf(scope, context, body);
    const { object, responses, source } = await beginResponse(scope, body, draft, { quiet: !body.stream, idempotency });
    if (body.stream) return responseStream(scope, source, (record) => responseIds(scope, object, record));
    const begun = responses[0]!;
    const ids = await responseIds(scope, object, begun);
    if (draft.background) {
      await source.cancel(); // it goes on without a reader
      return context.json(responseObject(ids, begun), 200);
    }
    const [response] = await drain(source, signal);
    if (!response) throw wasAbandoned();
    return context.json(responseObject(ids, response), 200);
  });

  app.openapi(retrieve, async (context) => {
    const scope = scopeOf(services, context);
    const { target, port } = await locate(scope, "response", context.req.valid("param").response_id, "response_id");
    const { stream, starting_after: after } = context.req.valid("query");
    if (!stream) {
      if (after !== undefined) throw needsStream();
      return context.json(await responseJson(scope, target), 200);
    }
    const events = unwrap(await port.events(target.number, { quiet: false }));
    const source = rejoining(fromStream(events), port, [target.number], false);
    return responseStream(scope, source, (record) => responseIds(scope, target.object, record), after);
  });

  app.openapi(remove, async (context) => {
    const id = context.req.valid("param").response_id;
    const { target, port } = await locate(scopeOf(services, context), "response", id, "response_id");
    unwrap(await port.deleteResponse(target.number));
    return context.json({ id, object: "response", deleted: true as const }, 200);
  });

  app.openapi(cancel, async (context) => {
    const scope = scopeOf(services, context);
    const { target, port } = await locate(scope, "response", context.req.valid("param").response_id, "response_id");
    const record = unwrap(await port.cancel(target.number));
    return context.json(responseObject(await responseIds(scope, target.object, record), record), 200);
  });

  app.openapi(inputItems, async (context) => {
    const scope = scopeOf(services, context);
    const { target, port } = await locate(scope, "response", context.req.valid("param").response_id, "response_id");
    const query = await itemQuery(scope, target.object, context.req.valid("query"));
    const page = unwrap(await port.inputItems(target.number, query));
    return context.json(await itemPage(scope, target.object, page), 200);
  });
}

async function responseJson(scope: Scope, { object, number }: { readonly object: string; readonly number: number }) {
  const record = unwrap(await scope.services.conversation(scope.tenant, object).response(number));
  return responseObject(await responseIds(scope, object, record), record);
}

function needsStream(): ApiError {
  return new ApiError(400, "invalid_value", "Invalid 'starting_after': it is only allowed with stream=true.", {
    param: "starting_after",
  });
}
