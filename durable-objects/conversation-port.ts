/** A conversation as its callers in the Worker see it: its port over RPC. */

import { portOver } from "../shared/conversation/port-call.ts";
import type { ConversationPort } from "../shared/conversation/types.ts";

/** A stub is broken for good once its object was reset (a deployment, a move), so every call makes a new one. */
export function conversationPort(
  { CONVERSATIONS }: Pick<Cloudflare.Env, "CONVERSATIONS">,
  tenant: string,
  object: string,
): ConversationPort {
  const id = CONVERSATIONS.idFromString(object);
  return portOver((method, args) => CONVERSATIONS.get(id).call(tenant, method, args) as never);
}
