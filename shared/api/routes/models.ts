/** The models of this deployment. */

import { createRoute, z } from "@hono/zod-openapi";
import { modelList, modelObject } from "../../protocol/models.ts";
import { type App, findModel, replies } from "../context.ts";
import type { ModelListing, Services } from "../services.ts";

const list = createRoute({
  method: "get",
  path: "/v1/models",
  summary: "List models",
  responses: replies("The models of this deployment, its default first.", modelList),
});

const retrieve = createRoute({
  method: "get",
  path: "/v1/models/{model}",
  summary: "Retrieve a model",
  request: { params: z.object({ model: z.string() }) },
  responses: replies("The model.", modelObject),
});

export function addModelRoutes(app: App, services: Services): void {
  app.openapi(list, (context) => {
    const models = [...services.models].sort((a, b) => Number(b.isDefault) - Number(a.isDefault));
    return context.json({ object: "list" as const, data: models.map(modelJson) }, 200);
  });
  app.openapi(retrieve, (context) =>
    context.json(modelJson(findModel(services, context.req.valid("param").model)), 200),
  );
}

function modelJson({ id, createdAt, ownedBy }: ModelListing) {
  return { id, object: "model" as const, created: createdAt, owned_by: ownedBy };
}
