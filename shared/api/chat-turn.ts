/** A chat's turn, begun where it costs least: behind a known history, in a conversation of its own, or nowhere at all. */

import type { ResponseRecord } from "../conversation/types.ts";
import type { PlainMessage } from "../protocol/messages.ts";
import { ApiError } from "./api-error.ts";
import {
  beginAtPlace,
  beginFresh,
  beginTurn,
  type Idempotency,
  type Place,
  type RunningTurn,
  type TurnDraft,
} from "./begin-turn.ts";
import type { Scope } from "./context.ts";
import { findPlace, rememberPlace, splitHistory } from "./prefix-reuse.ts";
import { fromComputation, type TurnSource } from "./turn-source.ts";

export interface ChatTurn {
  /** The first choice's response, for the reply's id; null where nothing is kept. */
  readonly kept: { readonly object: string; readonly node: number } | null;
  /** The first choice's response as it began; null where the client left before. */
  readonly begun: ResponseRecord | null;
  readonly nodes: readonly number[];
  readonly source: TurnSource;
  /** Between a choice's end and the reply's last bytes: makes the next turn cheap. */
  remember(response: ResponseRecord): Promise<void>;
}

export async function beginKeptChat(
  scope: Scope,
  messages: readonly PlainMessage[],
  draft: TurnDraft,
  { quiet, idempotency }: { readonly quiet: boolean; readonly idempotency: Idempotency | undefined },
): Promise<ChatTurn> {
  // With a key the same request can be sent again, and its reply be had then: it is worth finishing without a reader.
  const repeatable = idempotency ? ({ idempotency, whenUnread: "go on" } as const) : {};
  const turn = await begin(scope, messages, { ...draft, ...repeatable }, quiet);
  const { object, responses, source } = turn;
  return {
    kept: { object, node: responses[0]!.node },
    begun: responses[0]!,
    nodes: responses.map(({ node }) => node),
    source,
    async remember(response) {
      if (response.status !== "completed" && response.status !== "incomplete") return;
      const history = [...messages, { role: "assistant", content: response.output } as const];
      await rememberPlace(scope, draft.model, history, { object, node: response.node }, draft.stored);
    },
  };
}

export async function beginPassingChat(
  { services }: Scope,
  messages: readonly PlainMessage[],
  draft: TurnDraft,
): Promise<ChatTurn> {
  const { model, sampling, maxTokens, stop, choices, metadata } = draft;
  const prompt = { kind: "chat", ...splitSystem(messages) } as const;
  const request = { model, prompts: [prompt], sampling, maxTokens, stop, choices, metadata };
  const source = await fromComputation((signal) => services.stateless.run(request, signal), services.now);
  return {
    kept: null,
    begun: source.first?.type === "start" ? source.first.response : null,
    nodes: Array.from({ length: choices }, (_, choice) => choice),
    source,
    remember: async () => {},
  };
}

async function begin(
  scope: Scope,
  messages: readonly PlainMessage[],
  request: TurnDraft & { idempotency?: Idempotency },
  quiet: boolean,
): Promise<RunningTurn> {
  const { known, rest } = splitHistory(messages);
  const found = known && (await findPlace(scope, request.model, known));
  const place = found ?? { object: scope.services.newObject(), node: null };
  return beginAtPlace(scope, request.idempotency, place, async ({ object, node }) => {
    if (node !== null) {
      const turn = await tryBehind(scope, { object, node }, rest, request, quiet);
      if (turn) return turn;
    }
    // A repeated request must find the same place again, so the claimed object is kept even where its response is gone.
    const own = node === null || request.idempotency ? object : scope.services.newObject();
    const { instructions, input } = splitSystem(messages);
    return beginFresh(scope, own, { ...request, input, ...(instructions === null ? {} : { instructions }) }, quiet);
  });
}

/** null: that response is gone, or something before it, or somebody else is at it; the whole history will do. */
async function tryBehind(
  scope: Scope,
  { object, node }: Place & { readonly node: number },
  input: readonly PlainMessage[],
  request: TurnDraft & { idempotency?: Idempotency },
  quiet: boolean,
): Promise<RunningTurn | null> {
  try {
    return await beginTurn(
      scope,
      object,
      { ...request, parent: { kind: "node", node, isVerbatim: true }, input },
      quiet,
    );
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.status === 404 || error.code === "conversation_busy") return null;
    throw error;
  }
}

/** System messages at the beginning are the instructions; later ones stay where they are. */
export function splitSystem(messages: readonly PlainMessage[]) {
  const start = messages.findIndex(({ role }) => role !== "system");
  const split = start < 0 ? messages.length : start;
  return {
    instructions:
      split === 0
        ? null
        : messages
            .slice(0, split)
            .map(({ content }) => content)
            .join("\n\n"),
    input: messages.slice(split),
  };
}
