/** The text of an output, token by token: decoded, ended by end tokens and stop strings. A pure function of the ids. */

import { StopMatcher } from "./tokenizer/stop-matcher.ts";
import { TextStream } from "./tokenizer/text-stream.ts";
import type { Tokenizer } from "./tokenizer/tokenizer.ts";

export interface OutputRules {
  /** Strings that end the text where they begin; never shown. */
  readonly stop: readonly string[];
  /** Ids that end the text. */
  readonly eosIds: readonly number[];
}

export class OutputText {
  readonly #stream: TextStream;
  readonly #matcher: StopMatcher;
  readonly #eosIds: readonly number[];
  readonly #ids: number[] = [];
  #text = "";
  #shown = 0; //       UTF-16 units of #text that are shown
  #settledIds = 0;
  #settledUnits = 0; // UTF-16 units of the settled ids
  /** Ends of ids in #text that lie at character boundaries, beyond the settled ones: [ids, units]. */
  #boundaries: [number, number][] = [];
  #ended: "end token" | "stop string" | null = null;
  #stopString: string | null = null;

  constructor(tokenizer: Tokenizer, { stop, eosIds }: OutputRules) {
    this.#stream = new TextStream(tokenizer);
    this.#matcher = new StopMatcher(stop);
    this.#eosIds = eosIds;
  }

  /** Every id pushed, an end token and a stop string's included. */
  get ids(): readonly number[] {
    return this.#ids;
  }

  get ended(): "end token" | "stop string" | null {
    return this.#ended;
  }

  get stopString(): string | null {
    return this.#stopString;
  }

  /**
   * How many of the ids lie wholly in what is shown: as many as would stay if a stop string turned out to begin right
   * behind them. Equal to `ids.length` unless text is being held back.
   */
  get settled(): number {
    return this.#settledIds;
  }

  /** What is shown of the text behind the settled ids: the part of a token before a stop string. */
  get shownBeyondSettled(): string {
    return this.#text.slice(this.#settledUnits, this.#shown);
  }

  /** The text that became certain with this id: often "", since a character may span tokens and a stop string may have begun. */
  push(id: number): string {
    this.#ids.push(id);
    if (this.#eosIds.includes(id)) {
      const rest = this.#close();
      if (this.#ended === null) this.#ended = "end token";
      return rest;
    }
    return this.#show(this.#stream.push(id), this.#stream.isWhole);
  }

  /** The output is over, whatever its last token was: the text that was held back until now. */
  end(): string {
    return this.#ended === null ? this.#close() : "";
  }

  /** A character that never became whole may, as U+FFFD, complete a stop string after all. */
  #close(): string {
    const shown = this.#show(this.#stream.end(), true);
    if (this.#ended !== null) return shown;
    const held = this.#matcher.end();
    this.#shown += held.length;
    this.#settle();
    return shown + held;
  }

  #show(text: string, isWhole: boolean): string {
    this.#text += text;
    if (isWhole) this.#boundaries.push([this.#ids.length, this.#text.length]);
    const { text: shown, stopped } = this.#matcher.push(text);
    this.#shown += shown.length;
    if (stopped !== null) {
      this.#ended = "stop string";
      this.#stopString = stopped;
    }
    this.#settle();
    return shown;
  }

  #settle(): void {
    while (this.#boundaries.length > 0 && this.#boundaries[0][1] <= this.#shown) {
      [this.#settledIds, this.#settledUnits] = this.#boundaries[0];
      this.#boundaries.shift();
    }
  }
}
