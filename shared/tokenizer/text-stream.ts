/** Token ids in, text out as soon as it is certain: the streaming form of `Tokenizer.decode`, equal to it by construction. */

import type { Tokenizer } from "./tokenizer.ts";

/** One stream for one output. What `push` and `end` return, joined, is `decode` of all ids pushed. */
export class TextStream {
  readonly #tokenizer: Tokenizer;
  readonly #utf8 = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });
  #missingBytes = 0;

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /** The text that this id completes, often "": whole characters only, never half a surrogate pair. Skips control tokens. */
  push(id: number): string {
    if (this.#tokenizer.controlIds.has(id)) return "";
    const bytes = this.#tokenizer.pieceBytes(id);
    for (const byte of bytes) this.#missingBytes = missingAfter(byte, this.#missingBytes);
    return this.#utf8.decode(bytes, { stream: true });
  }

  /** No character is half read: what was pushed and what was returned end at the same place. */
  get isWhole(): boolean {
    return this.#missingBytes === 0;
  }

  /** The rest: U+FFFD if the output ends within a character, else "". */
  end(): string {
    this.#missingBytes = 0;
    return this.#utf8.decode();
  }
}

/** How many bytes a UTF-8 character still needs after this byte. */
function missingAfter(byte: number, missing: number): number {
  if (byte < 0x80) return 0;
  if (byte < 0xc0) return Math.max(0, missing - 1);
  if (byte < 0xe0) return 1;
  return byte < 0xf0 ? 2 : 3;
}
