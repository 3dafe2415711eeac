/** The events of a response as a pure function of its token log: whoever reads them, whenever, sees the same ones. */

import { OutputText } from "../output-text.ts";
import type { LoadedModel } from "./model-source.ts";
import type { StoredRequest } from "./nodes.ts";
import type { LogprobRecord, TurnEvent } from "./types.ts";

type TextEvent = Extract<TurnEvent, { type: "text" }>;

export class TextEvents {
  readonly #node: number;
  readonly #output: OutputText;
  #ordinal = 0;
  #waiting: LogprobRecord[] = [];

  constructor(loaded: LoadedModel, node: number, request: Pick<StoredRequest, "stop">) {
    this.#node = node;
    this.#output = new OutputText(loaded.tokenizer, { stop: request.stop, eosIds: loaded.model.config.eosIds });
  }

  /** Text events so far. */
  get count(): number {
    return this.#ordinal;
  }

  /** Output ids consumed so far. */
  get ids(): number {
    return this.#output.ids.length;
  }

  push(ids: readonly number[], logprobs: readonly LogprobRecord[] | null): TextEvent[] {
    const events: TextEvent[] = [];
    for (const [at, id] of ids.entries()) {
      if (this.#output.ended !== null) break;
      const text = this.#output.push(id);
      const isShown = this.#output.ended === null;
      if (logprobs && isShown) this.#waiting.push(logprobs[at]);
      if (text !== "") events.push(this.#event(text));
    }
    return events;
  }

  /** The response is over: what was held back. */
  end(): TextEvent[] {
    const rest = this.#output.end();
    return rest === "" ? [] : [this.#event(rest)];
  }

  /** For a response whose ids another model made: its text as it was kept, in one piece. */
  whole(text: string): TextEvent[] {
    return text === "" ? [] : [this.#event(text)];
  }

  #event(text: string): TextEvent {
    const logprobs = this.#waiting;
    this.#waiting = [];
    return {
      type: "text",
      node: this.#node,
      ordinal: this.#ordinal++,
      text,
      ...(logprobs.length > 0 && { logprobs }),
    };
  }
}
