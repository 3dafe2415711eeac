/** Nothing to run: what our schemas say of a reply must be what the official client's types promise its users. `tsc` judges. */

import type OpenAI from "openai";
import type { ChatChunk, ChatCompletion } from "../../shared/protocol/chat.ts";
import type { Completion } from "../../shared/protocol/completions.ts";
import type { ConversationObject, ItemObject } from "../../shared/protocol/conversations.ts";
import type { ResponseEvent, ResponseObject } from "../../shared/protocol/response-events.ts";

type Kept<Ours extends Official, Official> = Ours;

/** JSON has no `undefined`: a key is there or it is not. */
type Json<Value> = Value extends readonly (infer Element)[]
  ? Json<Element>[]
  : Value extends object
    ? { [Key in keyof Value]: Json<Exclude<Value[Key], undefined>> }
    : Value;

/** `output_text` is the client's own sum of the parts. Codes of errors are ours: a program that knows OpenAI's sees a new one. */
type Summed<Value extends ResponseObject> = Omit<Value, "error" | "usage"> & {
  output_text: string;
  error: null;
  usage: NonNullable<Value["usage"]>; // null before the end, as OpenAI's, whose types know only the end
};
type SummedEvent<Value> = Value extends { readonly response: ResponseObject }
  ? Omit<Value, "response"> & { response: Summed<Value["response"]> }
  : Value;

/** OpenAI, too, sends nulls in a stream; its types know only the whole reply. */
type Ended<Value extends Completion> = Omit<Value, "choices" | "usage"> & {
  usage: NonNullable<Value["usage"]>;
  choices: (Value["choices"][number] & { finish_reason: "stop" | "length" })[];
};

export interface Promises {
  chat: Kept<Json<ChatCompletion>, OpenAI.Chat.ChatCompletion>;
  chunk: Kept<Json<ChatChunk>, OpenAI.Chat.ChatCompletionChunk>;
  completion: Kept<Json<Ended<Completion>>, OpenAI.Completion>;
  response: Kept<Json<Summed<ResponseObject>>, OpenAI.Responses.Response>;
  event: Kept<Json<SummedEvent<ResponseEvent>>, OpenAI.Responses.ResponseStreamEvent>;
  conversation: Kept<Json<ConversationObject>, OpenAI.Conversations.Conversation>;
  item: Kept<Json<ItemObject>, OpenAI.Conversations.ConversationItem>;
}
