/**
 * Clients that resend the whole history get the cost of one that continues: where the messages up to the last reply were
 * seen before, the turn runs behind that reply, in the conversation that made it.
 */

import type { PlainMessage } from "../protocol/messages.ts";
import type { Place } from "./begin-turn.ts";
import type { Scope } from "./context.ts";

const DAY_SECONDS = 86_400;
const STORED_DAYS = 30;

/** A chat's messages, split behind the last reply. */
export interface History {
  /** null: nothing was replied yet, or what follows can only stand in a conversation of its own. */
  readonly known: readonly PlainMessage[] | null;
  readonly rest: readonly PlainMessage[];
}

export function splitHistory(messages: readonly PlainMessage[]): History {
  const end = messages.findLastIndex(({ role }) => role === "assistant") + 1;
  const rest = messages.slice(end);
  // A turn needs something to answer, and a system text can't come in later without a replay.
  const continues = end > 0 && rest.length > 0 && rest.every(({ role }) => role === "user");
  return { known: continues ? messages.slice(0, end) : null, rest };
}

/** The place behind a history, if it is known. A cache: any failure is a miss. */
export async function findPlace(scope: Scope, model: string, known: readonly PlainMessage[]): Promise<Place | null> {
  try {
    const hash = await prefixHash(scope, model, known);
    return await scope.services.prefixes(scope.tenant, hash).findPrefix(hash);
  } catch (error) {
    scope.services.report?.(error, scope.requestId);
    return null;
  }
}

/** Remembers where a history with its new reply lies. A cache: a failure costs a later request, not this one. */
export async function rememberPlace(
  scope: Scope,
  model: string,
  messages: readonly PlainMessage[],
  place: { readonly object: string; readonly node: number },
  stored: boolean,
): Promise<void> {
  try {
    const hash = await prefixHash(scope, model, messages);
    const expiresAt = Math.floor(scope.services.now() / 1000) + (stored ? STORED_DAYS : 1) * DAY_SECONDS;
    await scope.services.prefixes(scope.tenant, hash).putPrefix(hash, place, expiresAt);
  } catch (error) {
    scope.services.report?.(error, scope.requestId);
  }
}

/** Every message counts, the system text too; tenants and models never meet. */
function prefixHash({ services, tenant }: Scope, model: string, messages: readonly PlainMessage[]): Promise<string> {
  return services.hmac("prefix", JSON.stringify([tenant, model, messages.map(({ role, content }) => [role, content])]));
}
