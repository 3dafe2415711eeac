/** What a route knows about its request, and the helpers that every route uses. */

import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { ConversationPort } from "../conversation/types.ts";
import { type ErrorBody, errorBody } from "../protocol/errors.ts";
import { ApiError, errorBodyOf, toApiError } from "./api-error.ts";
import type { Identity, IdTarget, ModelListing, Services } from "./services.ts";

export interface Env {
  Variables: { requestId: string; identity: Identity };
}
export type App = OpenAPIHono<Env>;
export type RequestContext = Context<Env>;

/** The services as one tenant may use them. */
export interface Scope {
  readonly services: Services;
  readonly tenant: string;
  readonly requestId: string;
}

export function scopeOf(services: Services, context: RequestContext): Scope {
  return { services, tenant: context.get("identity").tenant, requestId: context.get("requestId") };
}

/** What a client is told of an error in the middle of a stream, where no status can tell it any more. */
export function tellError({ services, requestId }: Scope, thrown: unknown): ErrorBody {
  const error = toApiError(thrown);
  if (error.status >= 500) services.report?.(error.cause ?? error, requestId);
  return errorBodyOf(error);
}

/** What an id names, with its object; 404 for a forged, foreign or misspelt one, as for one that is gone. */
export async function locate<Kind extends IdTarget["kind"]>(
  { services, tenant }: Scope,
  kind: Kind,
  id: string,
  param: string,
): Promise<{ target: Extract<IdTarget, { kind: Kind }>; port: ConversationPort }> {
  const target = await services.ids.decode(tenant, kind, id);
  if (target?.kind !== kind) throw notFound(kind, id, param);
  return {
    target: target as Extract<IdTarget, { kind: Kind }>,
    port: services.conversation(tenant, target.object),
  };
}

export function notFound(kind: IdTarget["kind"], id: string, param: string): ApiError {
  const shown = id.length > 80 ? `${id.slice(0, 80)}…` : id;
  const noun = { conversation: "Conversation", response: "Response", item: "Item" }[kind];
  const code = param === "previous_response_id" ? "previous_response_not_found" : `${kind}_not_found`; // OpenAI's code
  return new ApiError(404, code, `${noun} with id '${shown}' not found.`, { param });
}

/** The model that a request names, or the deployment's default. */
export function findModel(services: Services, name: string | null | undefined): ModelListing {
  const model = name
    ? services.models.find(({ id }) => id === name)
    : services.models.find(({ isDefault }) => isDefault);
  if (model) return model;
  throw new ApiError(
    404,
    "model_not_found",
    name ? `The model '${name}' does not exist.` : "This deployment has no default model: name one.",
    { param: "model" },
  );
}

/** A JSON reply of a schema, and the errors every route may give, for the OpenAPI document. */
export function replies<Schema>(description: string, schema: Schema) {
  return { 200: { description, content: { "application/json": { schema } } }, ...errors };
}

export function streamable<Schema, Event>(description: string, schema: Schema, event: Event) {
  return {
    200: {
      description,
      content: { "application/json": { schema }, "text/event-stream": { schema: event } },
    },
    ...errors,
  };
}

export const errors = {
  "4XX": { description: "The request is refused.", content: { "application/json": { schema: errorBody } } },
  "5XX": { description: "The server failed.", content: { "application/json": { schema: errorBody } } },
};

export function jsonBody<Schema>(schema: Schema) {
  return { content: { "application/json": { schema } }, required: true as const };
}
