/** /v1/conversations: conversations, their items, forks. */

import { z } from "@hono/zod-openapi";
import { metadataField } from "./fields.ts";
import { MAX_ITEMS_PER_CALL } from "./limits.ts";
import { inputMessage } from "./messages.ts";
import { itemStatus, outputMessage } from "./response-events.ts";

const items = z.array(inputMessage).max(MAX_ITEMS_PER_CALL);

export const createConversationRequest = z
  .strictObject({ items: items.nullish(), metadata: metadataField })
  .openapi("CreateConversationRequest");

export const updateConversationRequest = z
  .strictObject({
    metadata: metadataField.refine((value) => value !== undefined, { error: "expected an object or null" }),
  })
  .openapi("UpdateConversationRequest");

export const forkRequest = z
  .strictObject({
    response_id: z.string().max(256).nullish().meta({ description: "Where to fork. Default: the newest response." }),
    metadata: metadataField,
  })
  .openapi("ForkRequest");

export const createItemsRequest = z.strictObject({ items: items.min(1) }).openapi("CreateItemsRequest");

export const conversationObject = z
  .object({
    id: z.string(),
    object: z.literal("conversation"),
    created_at: z.int(),
    metadata: z.record(z.string(), z.string()),
  })
  .openapi("Conversation");
export type ConversationObject = z.infer<typeof conversationObject>;

export const deletedObject = (object: string) =>
  z.object({ id: z.string(), object: z.literal(object), deleted: z.literal(true) });

const inputItem = z
  .object({
    id: z.string(),
    type: z.literal("message"),
    status: itemStatus,
    role: z.enum(["system", "user"]),
    content: z.array(z.object({ type: z.literal("input_text"), text: z.string() })),
  })
  .openapi("InputItem");
export const itemObject = z.union([inputItem, outputMessage]).openapi("ConversationItem");
export type ItemObject = z.infer<typeof itemObject>;

export function listOf<Item extends z.ZodType>(item: Item) {
  return z.object({
    object: z.literal("list"),
    data: z.array(item),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
    has_more: z.boolean(),
  });
}
