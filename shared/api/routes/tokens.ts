/** Text to a model's token ids and back. */

import { createRoute } from "@hono/zod-openapi";
import { detokenizeReply, detokenizeRequest, tokenizeReply, tokenizeRequest } from "../../protocol/models.ts";
import { type App, findModel, jsonBody, replies } from "../context.ts";
import type { Services } from "../services.ts";

const tokenize = createRoute({
  method: "post",
  path: "/v1/tokenize",
  summary: "Text to token ids",
  request: { body: jsonBody(tokenizeRequest) },
  responses: replies("The ids.", tokenizeReply),
});

const detokenize = createRoute({
  method: "post",
  path: "/v1/detokenize",
  summary: "Token ids to text",
  request: { body: jsonBody(detokenizeRequest) },
  responses: replies("The text.", detokenizeReply),
});

export function addTokenRoutes(app: App, services: Services): void {
  app.openapi(tokenize, async (context) => {
    const { text, model: name } = context.req.valid("json");
    const model = findModel(services, name).id;
    const tokens = await services.stateless.tokenize(model, text);
    return context.json({ object: "tokens" as const, model, tokens, count: tokens.length }, 200);
  });

  app.openapi(detokenize, async (context) => {
    const { tokens, model: name } = context.req.valid("json");
    const model = findModel(services, name).id;
    return context.json(
      { object: "text" as const, model, text: await services.stateless.detokenize(model, tokens) },
      200,
    );
  });
}
