/** The chunks of /v1/completions, and the reply in one piece: pure functions of the events. */

import type { ResponseRecord, TurnEvent } from "../conversation/types.ts";
import type { Completion } from "../protocol/completions.ts";
import { type Envelope, finishReasonOf } from "./chat-chunks.ts";
import { completionLogprobs, completionUsage } from "./usage.ts";

export function completionChoices(responses: readonly ResponseRecord[], firstIndex: number): Completion["choices"] {
  return responses.map((response, choice) => ({
    index: firstIndex + choice,
    text: response.output,
    logprobs: completionLogprobs(response.logprobs, 0),
    finish_reason: finishReasonOf(response),
  }));
}

/** Of one prompt; its first choice has the number `firstIndex`. */
export class CompletionChunks {
  readonly #envelope: Envelope;
  readonly #firstIndex: number;
  readonly #ended: ResponseRecord[] = [];
  readonly #offsets = new Map<number, number>(); // UTF-16 units of each choice's text so far

  constructor(envelope: Envelope, firstIndex: number) {
    this.#envelope = envelope;
    this.#firstIndex = firstIndex;
  }

  /** null: nothing to say. */
  encode(event: TurnEvent): Completion | null {
    if (event.type === "text") {
      const offset = this.#offsets.get(event.node) ?? 0;
      this.#offsets.set(event.node, offset + event.text.length);
      return this.#chunk(event.node, event.text, null, completionLogprobs(event.logprobs, offset));
    }
    if (event.type === "end") {
      this.#ended.push(event.response);
      return this.#chunk(event.response.node, "", finishReasonOf(event.response), null);
    }
    return null;
  }

  usage() {
    return completionUsage([...this.#ended].sort((a, b) => a.node - b.node));
  }

  #chunk(
    choice: number,
    text: string,
    finishReason: "stop" | "length" | null,
    logprobs: Completion["choices"][number]["logprobs"],
  ): Completion {
    return {
      ...this.#envelope,
      object: "text_completion",
      choices: [{ index: this.#firstIndex + choice, text, logprobs, finish_reason: finishReason }],
    };
  }
}
