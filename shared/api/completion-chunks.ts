/** The chunks of /v1/completions, and the reply in one piece: pure functions of the events. */

import type { ResponseRecord, TurnEvent } from "../conversation/types.ts";
import type { Completion } from "../protocol/completions.ts";
import { type Envelope, finishReasonOf } from "./chat-chunks.ts";
import { completionLogprobs, completionUsage, sumUsage } from "./usage.ts";

/** `choices`: replies to each prompt. */
export function wholeCompletion(envelope: Envelope, responses: readonly ResponseRecord[], choices: number): Completion {
  return {
    ...envelope,
    object: "text_completion",
    choices: completionChoices(responses),
    usage: promptUsage(responses, choices),
  };
}

function completionChoices(responses: readonly ResponseRecord[]): Completion["choices"] {
  return responses.map((response, index) => ({
    index,
    text: response.output,
    logprobs: completionLogprobs(response.logprobs, 0),
    finish_reason: finishReasonOf(response),
  }));
}

/** A prompt counts once, whatever the number of its replies. */
function promptUsage(responses: readonly ResponseRecord[], choices: number): Completion["usage"] {
  const usages = [];
  for (let at = 0; at < responses.length; at += choices)
    usages.push(completionUsage(responses.slice(at, at + choices)));
  return sumUsage(usages);
}

export class CompletionChunks {
  readonly #envelope: Envelope;
  readonly #choices: number;
  readonly #ended: ResponseRecord[] = [];
  readonly #offsets = new Map<number, number>(); // UTF-16 units of each choice's text so far

  /** `choices`: replies to each prompt. */
  constructor(envelope: Envelope, choices: number) {
    this.#envelope = envelope;
    this.#choices = choices;
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

  /** After the last event. */
  usage(): Completion {
    const usage = promptUsage(this.#ended, this.#choices); // they ended in their order
    return { ...this.#envelope, object: "text_completion", choices: [], usage };
  }

  #chunk(
    index: number,
    text: string,
    finishReason: "stop" | "length" | null,
    logprobs: Completion["choices"][number]["logprobs"],
  ): Completion {
    return {
      ...this.#envelope,
      object: "text_completion",
      choices: [{ index, text, logprobs, finish_reason: finishReason }],
    };
  }
}
