/** /v1/conversations/{conversation_id}/items: a conversation's messages. */

import { createRoute, z } from "@hono/zod-openapi";
import {
  conversationObject,
  createItemsRequest,
  itemObject as itemSchema,
  listOf,
} from "../../protocol/conversations.ts";
import { plainMessage } from "../../protocol/messages.ts";
import { pageQuery } from "../../protocol/responses.ts";
import { unwrap } from "../api-error.ts";
import { type App, jsonBody, notFound, replies, type Scope, scopeOf } from "../context.ts";
import { itemObject, itemPage, itemQuery } from "../items.ts";
import type { Services } from "../services.ts";
import { conversationJson, locateConversation } from "./conversations.ts";

const path = "/v1/conversations/{conversation_id}/items";
const params = z.object({ conversation_id: z.string() });
const itemParams = params.extend({ item_id: z.string() });
const includeQuery = pageQuery.pick({ include: true, "include[]": true });

const list = createRoute({
  method: "get",
  path,
  summary: "List a conversation's items",
  request: { params, query: pageQuery },
  responses: replies("The items, newest first unless asked otherwise.", listOf(itemSchema)),
});
const create = createRoute({
  method: "post",
  path,
  summary: "Add messages to a conversation",
  description: "Without a reply: the next response goes on behind them.",
  request: { params, query: includeQuery, body: jsonBody(createItemsRequest) },
  responses: replies("The new items.", listOf(itemSchema)),
});
const retrieve = createRoute({
  method: "get",
  path: `${path}/{item_id}`,
  summary: "Retrieve an item",
  request: { params: itemParams, query: includeQuery },
  responses: replies("The item.", itemSchema),
});
const remove = createRoute({
  method: "delete",
  path: `${path}/{item_id}`,
  summary: "Delete an item",
  description:
    "Later responses of this conversation are computed as if it had never been said. Refused while a fork has it too.",
  request: { params: itemParams },
  responses: replies("The conversation.", conversationObject),
});

export function addConversationItemRoutes(app: App, services: Services): void {
  app.openapi(list, async (context) => {
    const scope = scopeOf(services, context);
    const { target, port } = await locateConversation(scope, context.req.valid("param"));
    const query = await itemQuery(scope, target.object, context.req.valid("query"));
    return context.json(await itemPage(scope, target.object, unwrap(await port.items(target.number, query))), 200);
  });

  app.openapi(create, async (context) => {
    const scope = scopeOf(services, context);
    const { target, port } = await locateConversation(scope, context.req.valid("param"));
    const messages = context.req.valid("json").items.map(plainMessage);
    const items = unwrap(await port.addItems(target.number, messages));
    return context.json(await itemPage(scope, target.object, { items, hasMore: false }), 200);
  });

  app.openapi(retrieve, async (context) => {
    const scope = scopeOf(services, context);
    const { object, branch, node, index, port } = await locateItem(scope, context.req.valid("param"));
    return context.json(await itemObject(scope, object, unwrap(await port.item(branch, node, index))), 200);
  });

  app.openapi(remove, async (context) => {
    const scope = scopeOf(services, context);
    const { object, branch, node, index, port } = await locateItem(scope, context.req.valid("param"));
    return context.json(await conversationJson(scope, object, unwrap(await port.deleteItem(branch, node, index))), 200);
  });
}

async function locateItem(scope: Scope, ids: { readonly conversation_id: string; readonly item_id: string }) {
  const { target, port } = await locateConversation(scope, ids);
  const item = await scope.services.ids.decode(scope.tenant, "item", ids.item_id);
  if (item?.kind !== "item" || item.object !== target.object) throw notFound("item", ids.item_id, "item_id");
  return { object: target.object, branch: target.number, node: item.number, index: item.index, port };
}
