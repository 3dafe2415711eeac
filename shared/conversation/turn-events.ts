/** The events of a response as a pure function of its token log: whoever reads them, whenever, sees the same ones. */

import { AerieError } from "../errors.ts";
import { OutputText } from "../output-text.ts";
import type { LoadedModel } from "./model-source.ts";
import type { StoredRequest } from "./nodes.ts";
import type { LogprobRecord, TurnEvent } from "./types.ts";

type TextEvent = Extract<TurnEvent, { type: "text" }>;

export class TextEvents {
  readonly #node: number;
  readonly #output: OutputText | null;
  #ordinal = 0;
  #waiting: LogprobRecord[] = [];

  /** Without a model, `whole` is all that can be told. */
  constructor(loaded: LoadedModel | null, node: number, request: Pick<StoredRequest, "stop">) {
    this.#node = node;
    this.#output =
      loaded && new OutputText(loaded.tokenizer, { stop: request.stop, eosIds: loaded.model.config.eosIds });
  }

  /** Text events so far. */
  get count(): number {
    return this.#ordinal;
  }

  /** Output ids consumed so far. */
  get ids(): number {
    return this.#output?.ids.length ?? 0;
  }

  push(ids: readonly number[], logprobs: readonly LogprobRecord[] | null): TextEvent[] {
    const output = this.#reading();
    const events: TextEvent[] = [];
    for (const [at, id] of ids.entries()) {
      if (output.ended !== null) break;
      const text = output.push(id);
      const isShown = output.ended === null;
      if (logprobs && isShown) this.#waiting.push(logprobs[at]);
      if (text !== "") events.push(this.#event(text));
    }
    return events;
  }

  /** The response is over: what was held back. */
  end(): TextEvent[] {
    const rest = this.#reading().end();
    return rest === "" ? [] : [this.#event(rest)];
  }

  /** For a response whose ids another model made: its text as it was kept, in one piece. */
  whole(text: string): TextEvent[] {
    return text === "" ? [] : [this.#event(text)];
  }

  #reading(): OutputText {
    if (this.#output) return this.#output;
    throw new AerieError("conversation.events", `the ids of response ${this.#node} can't be read without their model`);
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
