/** Token ids in, text out as soon as it is certain: the streaming form of `Tokenizer.decode`, equal to it by construction. */

import type { Tokenizer } from "./tokenizer.ts";

/** One stream for one output. What `push` and `end` return, joined, is `decode` of all ids pushed. */
export class TextStream {
  readonly #tokenizer: Tokenizer;
  readonly #utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /** The text that this id completes, often "": whole characters only, never half a surrogate pair. Skips control tokens. */
  push(id: number): string {
    if (this.#tokenizer.controlIds.has(id)) return "";
    return this.#utf8.decode(this.#tokenizer.pieceBytes(id), { stream: true });
  }

  /** The rest: U+FFFD if the output ends within a character, else "". */
  end(): string {
    return this.#utf8.decode();
  }
}
