/** A conversation's messages as items, in pages. */

import type { ConversationItem, ItemPage, ItemQuery } from "../conversation/types.ts";
import type { ItemObject } from "../protocol/conversations.ts";
import type { PageQuery } from "../protocol/responses.ts";
import { notFound, type Scope } from "./context.ts";

export async function itemObject(
  { services, tenant }: Scope,
  object: string,
  item: ConversationItem,
): Promise<ItemObject> {
  const { node, index, role, status } = item;
  const id = await services.ids.encode(tenant, { kind: "item", object, number: node, index });
  const common = { id, type: "message", status } as const;
  return role === "assistant"
    ? { ...common, role, content: [{ type: "output_text", text: item.content, annotations: [], logprobs: [] }] }
    : { ...common, role, content: [{ type: "input_text", text: item.content }] };
}

export async function itemPage(scope: Scope, object: string, { items, hasMore }: ItemPage) {
  return listJson(await Promise.all(items.map((item) => itemObject(scope, object, item))), hasMore);
}

export async function itemQuery({ services, tenant }: Scope, object: string, query: PageQuery): Promise<ItemQuery> {
  const { order, limit, after } = query;
  if (after === undefined) return { order, limit };
  const target = await services.ids.decode(tenant, "item", after);
  if (target?.kind !== "item" || target.object !== object) throw notFound("item", after, "after");
  return { order, limit, after: { node: target.number, index: target.index } };
}

export function listJson<Item extends { readonly id: string }>(data: Item[], hasMore: boolean) {
  return {
    object: "list" as const,
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: hasMore,
  };
}
