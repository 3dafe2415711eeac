/** The models of this deployment. */

import { createRoute, z } from "@hono/zod-openapi";
import { modelList, modelObject } from "../../protocol/models.ts";
import { type App, findModel, replies } from "../context.ts";
import type { ModelListing, Services } from "../services.ts";

const list = createRoute({
  method: "get",
  path: "/v1/models",
  summary: "List models",
  responses: replies("The models of this deployment.", modelList),
});

const retrieve = createRoute({
  method: "get",
  path: "/v1/models/{model}",
  summary: "Retrieve a model",
  request: { params: z.object({ model: z.string() }) },
  responses: replies("The model.", modelObject),
});

export function addModelRoutes(app: App, services: Services): void {
  app.openapi(list, (context) => context.json({ object: "list" as const, data: services.models.map(modelJson) }, 200));
  app.openapi(retrieve, (context) =>
    context.json(modelJson(findModel(services, context.req.valid("param").model)), 200),
  );
}

function modelJson({ id, createdAt, ownedBy }: ModelListing) {
  return { id, object: "model" as const, created: createdAt, owned_by: ownedBy };
}
