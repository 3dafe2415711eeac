/** The chunks of /v1/chat/completions, and the reply in one piece: pure functions of a turn's events. */

import type { ResponseRecord, TurnEvent } from "../conversation/types.ts";
import type { ChatChunk, ChatCompletion } from "../protocol/chat.ts";
import { chatLogprobs, completionUsage } from "./usage.ts";

/** What every chunk of a reply says about itself. */
export interface Envelope {
  readonly id: string;
  readonly created: number;
  readonly model: string;
  readonly system_fingerprint?: string;
  readonly seed: number;
}

/** Shown as `system_fingerprint`: it changes when the model's weights do, and with them the replies. */
export function fingerprintOf(response: Pick<ResponseRecord, "modelDigest"> | null): Partial<Envelope> {
  return response?.modelDigest ? { system_fingerprint: `fp_${response.modelDigest.slice(0, 12)}` } : {};
}

/** A reply ends by its end token, a stop string or its length; one that was cancelled just stops. */
export function finishReasonOf(response: Pick<ResponseRecord, "finishReason">): "stop" | "length" {
  return response.finishReason ?? "stop";
}

export function chatCompletion(
  envelope: Envelope,
  responses: readonly ResponseRecord[],
  metadata: Readonly<Record<string, string>>,
): ChatCompletion {
  return {
    ...envelope,
    object: "chat.completion",
    choices: responses.map((response, index) => ({
      index,
      message: { role: "assistant", content: response.output, refusal: null, annotations: [] },
      logprobs: chatLogprobs(response.logprobs),
      finish_reason: finishReasonOf(response),
    })),
    usage: completionUsage(responses),
    service_tier: "default",
    metadata: { ...metadata },
  };
}

/** Role first, then the text, then one finish reason for each choice; at last, if asked for, the usage. */
export class ChatChunks {
  readonly #envelope: Envelope;
  readonly #nodes: readonly number[];
  readonly #includeUsage: boolean;
  readonly #ended: ResponseRecord[] = [];

  /** `nodes`: the choices' responses, in order. */
  constructor(envelope: Envelope, nodes: readonly number[], includeUsage: boolean) {
    this.#envelope = envelope;
    this.#nodes = nodes;
    this.#includeUsage = includeUsage;
  }

  encode(event: Exclude<TurnEvent, { type: "prefill" }>): ChatChunk {
    switch (event.type) {
      case "start":
        return this.#choice(event.response.node, { role: "assistant", content: "", refusal: null }, null);
      case "text":
        return this.#choice(event.node, { content: event.text }, null, event.logprobs);
      case "end":
        this.#ended.push(event.response);
        return this.#choice(event.response.node, {}, finishReasonOf(event.response));
      default:
        return event satisfies never;
    }
  }

  /** After the last event. */
  finish(): ChatChunk[] {
    if (!this.#includeUsage) return [];
    const ended = [...this.#ended].sort((a, b) => a.node - b.node);
    return [{ ...this.#base(), choices: [], usage: completionUsage(ended) }];
  }

  #choice(
    node: number,
    delta: ChatChunk["choices"][number]["delta"],
    finishReason: "stop" | "length" | null,
    logprobs?: Extract<TurnEvent, { type: "text" }>["logprobs"],
  ): ChatChunk {
    const index = this.#nodes.indexOf(node);
    return {
      ...this.#base(),
      choices: [{ index, delta, logprobs: chatLogprobs(logprobs), finish_reason: finishReason }],
      ...(this.#includeUsage ? { usage: null } : {}), // as OpenAI: null on every chunk but the last
    };
  }

  #base() {
    return { ...this.#envelope, object: "chat.completion.chunk" as const };
  }
}
