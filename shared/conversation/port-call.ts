/** Calls of a conversation's port across a boundary that carries a method's name and its arguments. */

import type { Answer, ConversationPort } from "./types.ts";

export type PortCall<Method extends keyof ConversationPort> = (
  ...args: Parameters<ConversationPort[Method]>
) => ReturnType<ConversationPort[Method]>;

/** Every method, so that a port can be made of calls. */
const methods: { readonly [Method in keyof ConversationPort]: true } = {
  turn: true,
  response: true,
  events: true,
  cancel: true,
  deleteResponse: true,
  inputItems: true,
  createBranch: true,
  branch: true,
  updateBranch: true,
  deleteBranch: true,
  items: true,
  item: true,
  addItems: true,
  deleteItem: true,
  exportState: true,
  importState: true,
  exportAll: true,
  destroy: true,
};

/** A port whose methods all go through `call`. */
export function portOver(
  call: <Method extends keyof ConversationPort>(
    method: Method,
    args: Parameters<ConversationPort[Method]>,
  ) => ReturnType<ConversationPort[Method]>,
): ConversationPort {
  const entries = Object.keys(methods).map((name) => {
    const method = name as keyof ConversationPort;
    return [method, (...args: Parameters<ConversationPort[typeof method]>) => call(method, args)];
  });
  return Object.fromEntries(entries) as unknown as ConversationPort;
}

/** What somebody else's conversation answers: the same as one that does not exist. */
export function refuseCall<Method extends keyof ConversationPort>(
  method: Method,
): Awaited<ReturnType<ConversationPort[Method]>> {
  const refused: Answer<never> = {
    ok: false,
    error: { status: 404, code: "not_found", message: "there is no such conversation", param: null },
  };
  return (method === "destroy" ? undefined : refused) as Awaited<ReturnType<ConversationPort[Method]>>;
}
