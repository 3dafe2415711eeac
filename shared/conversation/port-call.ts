/** Calls of a conversation's port across a boundary that carries a method's name and its arguments. */

import type { Answer, ConversationPort, TurnRequest } from "./types.ts";

export type PortCall<Method extends keyof ConversationPort> = (
  ...args: Parameters<ConversationPort[Method]>
) => ReturnType<ConversationPort[Method]>;

/** Every method, so that a port can be made of calls, and what is missing where there is no conversation. */
const methods: { readonly [Method in keyof ConversationPort]: "response" | "conversation" } = {
  turn: "response",
  response: "response",
  events: "response",
  cancel: "response",
  deleteResponse: "response",
  inputItems: "response",
  createBranch: "response",
  branch: "conversation",
  updateBranch: "conversation",
  deleteBranch: "conversation",
  items: "conversation",
  item: "conversation",
  addItems: "conversation",
  deleteItem: "conversation",
  exportState: "conversation",
  importState: "conversation",
  exportAll: "conversation",
  destroy: "conversation",
};

/** Whether a call may be the first one of a conversation. */
export function beginsAnew<Method extends keyof ConversationPort>(
  method: Method,
  args: Parameters<ConversationPort[Method]>,
): boolean {
  const [first] = args as unknown[];
  if (method === "turn") return (first as TurnRequest).parent.kind === "root";
  return method === "createBranch" && (first as { node: number | null }).node === null;
}

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

/** Of a turn that continues a response which is not there. */
export const noParent = {
  code: "previous_response_not_found",
  message: "previous_response_id: there is no such response",
  param: "previous_response_id",
};

/** What a conversation answers that does not exist, or is somebody else's: the same as one in which nothing is found. */
export function refuseCall<Method extends keyof ConversationPort>(
  method: Method,
  args: Parameters<ConversationPort[Method]>,
): Awaited<ReturnType<ConversationPort[Method]>> {
  type Result = Awaited<ReturnType<ConversationPort[Method]>>;
  if (method === "destroy") return undefined as Result;
  const isFollowUp = method === "turn" && (args[0] as TurnRequest).parent.kind === "node";
  const isOfBranch = method === "turn" && (args[0] as TurnRequest).parent.kind === "branch";
  const missing = isOfBranch ? "conversation" : methods[method];
  const refused: Answer<never> = {
    ok: false,
    error: isFollowUp
      ? { status: 404, ...noParent }
      : { status: 404, code: `${missing}_not_found`, message: `there is no such ${missing}`, param: null },
  };
  return refused as Result;
}
