/** /v1/conversations: named lines of responses. */

import { createRoute, z } from "@hono/zod-openapi";
import type { BranchRecord } from "../../conversation/types.ts";
import {
  type ConversationObject,
  conversationObject,
  createConversationRequest,
  deletedObject,
  forkRequest,
  listOf,
  updateConversationRequest,
} from "../../protocol/conversations.ts";
import { plainMessage } from "../../protocol/messages.ts";
import { pageQuery } from "../../protocol/responses.ts";
import { ApiError, unwrap } from "../api-error.ts";
import { type App, jsonBody, locate, notFound, replies, type Scope, scopeOf } from "../context.ts";
import { listJson } from "../items.ts";
import type { Services } from "../services.ts";

const path = "/v1/conversations/{conversation_id}";
const params = z.object({ conversation_id: z.string() });
const optional = <Schema>(schema: Schema) => ({ content: { "application/json": { schema } } });

const create = createRoute({
  method: "post",
  path: "/v1/conversations",
  summary: "Create a conversation",
  request: { body: optional(createConversationRequest) },
  responses: replies("The conversation.", conversationObject),
});
const list = createRoute({
  method: "get",
  path: "/v1/conversations",
  summary: "List conversations",
  request: { query: pageQuery },
  responses: replies("Conversations, newest first unless asked otherwise.", listOf(conversationObject)),
});
const retrieve = createRoute({
  method: "get",
  path,
  summary: "Retrieve a conversation",
  request: { params },
  responses: replies("The conversation.", conversationObject),
});
const update = createRoute({
  method: "post",
  path,
  summary: "Replace a conversation's metadata",
  request: { params, body: jsonBody(updateConversationRequest) },
  responses: replies("The conversation.", conversationObject),
});
const remove = createRoute({
  method: "delete",
  path,
  summary: "Delete a conversation and its texts",
  description:
    "Its responses go with it, those with `store: true` too, but for what a fork or a response outside continues.",
  request: { params },
  responses: replies("It is gone.", deletedObject("conversation.deleted")),
});
const fork = createRoute({
  method: "post",
  path: `${path}/fork`,
  summary: "Fork a conversation",
  description: "A second conversation that begins with the same responses. Costs one row, however long they are.",
  request: { params, body: optional(forkRequest) },
  responses: replies("The new conversation.", conversationObject),
});

export function addConversationRoutes(app: App, services: Services): void {
  app.openapi(create, async (context) => {
    const { items, metadata } = context.req.valid("json");
    const scope = scopeOf(services, context);
    const object = services.newObject();
    await services.tenant(scope.tenant).register(object);
    const branch = await services.conversation(scope.tenant, object).createBranch({
      node: null,
      items: (items ?? []).map(plainMessage),
      metadata: metadata ?? {},
    });
    return context.json(await conversationJson(scope, object, unwrap(branch)), 200);
  });

  app.openapi(list, async (context) => {
    const scope = scopeOf(services, context);
    const { limit, order, after } = context.req.valid("query");
    const place = after === undefined ? null : (await locate(scope, "conversation", after, "after")).target;
    const page = await services.tenant(scope.tenant).conversations({
      limit,
      order,
      ...(place ? { after: { object: place.object, branch: place.number } } : {}),
    });
    const found = await Promise.all(page.conversations.map((place) => listed(scope, place)));
    const data = found.filter((one) => one !== null);
    // The page's own end: its last conversation may have gone since, and the next page still has to be found.
    const last = page.conversations.at(-1);
    const lastId = last ? await conversationId(scope, last.object, last.branch) : null;
    return context.json({ ...listJson(data, page.hasMore), last_id: lastId }, 200);
  });

  app.openapi(retrieve, async (context) => {
    const scope = scopeOf(services, context);
    const { target, port } = await locateConversation(scope, context.req.valid("param"));
    return context.json(await conversationJson(scope, target.object, unwrap(await port.branch(target.number))), 200);
  });

  app.openapi(update, async (context) => {
    const scope = scopeOf(services, context);
    const { target, port } = await locateConversation(scope, context.req.valid("param"));
    const branch = await port.updateBranch(target.number, context.req.valid("json").metadata ?? {});
    return context.json(await conversationJson(scope, target.object, unwrap(branch)), 200);
  });

  app.openapi(remove, async (context) => {
    const { conversation_id: id } = context.req.valid("param");
    const { target, port } = await locateConversation(scopeOf(services, context), { conversation_id: id });
    unwrap(await port.deleteBranch(target.number));
    return context.json({ id, object: "conversation.deleted", deleted: true as const }, 200);
  });

  app.openapi(fork, async (context) => {
    const scope = scopeOf(services, context);
    const { target, port } = await locateConversation(scope, context.req.valid("param"));
    const { response_id: responseId, metadata } = context.req.valid("json");
    const source = unwrap(await port.branch(target.number));
    let node = source.head;
    if (responseId) {
      const { target: response } = await locate(scope, "response", responseId, "response_id");
      if (response.object !== target.object) throw notFound("response", responseId, "response_id");
      node = response.number;
    }
    if (node === null) {
      throw new ApiError(409, "conversation_empty", "The conversation has no response yet: there is nothing to fork.");
    }
    const branch = await port.createBranch({ node, items: [], metadata: metadata ?? source.metadata });
    return context.json(await conversationJson(scope, target.object, unwrap(branch)), 200);
  });
}

/** The conversation of a route's path. */
export function locateConversation(scope: Scope, { conversation_id: id }: { readonly conversation_id: string }) {
  return locate(scope, "conversation", id, "conversation_id");
}

/** null: it was deleted after the catalogue was last told of it. */
async function listed(
  scope: Scope,
  { object, branch }: { readonly object: string; readonly branch: number },
): Promise<ConversationObject | null> {
  const answer = await scope.services.conversation(scope.tenant, object).branch(branch);
  return !answer.ok && answer.error.status === 404 ? null : conversationJson(scope, object, unwrap(answer));
}

export async function conversationJson(
  scope: Scope,
  object: string,
  { branch, createdAt, metadata }: BranchRecord,
): Promise<ConversationObject> {
  const id = await conversationId(scope, object, branch);
  return { id, object: "conversation", created_at: createdAt, metadata: { ...metadata } };
}

export function conversationId({ services, tenant }: Scope, object: string, branch: number): Promise<string> {
  return services.ids.encode(tenant, { kind: "conversation", object, number: branch });
}
