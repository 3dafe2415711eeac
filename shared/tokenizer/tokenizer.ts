/** Text to token ids and back: byte-pair encoding as tokenizer.json describes it, in which only templates can write control tokens. */

import { OptionError } from "../errors.ts";
import { type BpeModel, byteIdsOf, encodeWord } from "./bpe.ts";
import { fallbackByte, pieceBytes, textBytes } from "./piece-bytes.ts";
import { type AddedToken, TokenTrie } from "./token-trie.ts";
import { parseTokenizerJson, type TokenizerTables } from "./tokenizer-json.ts";

/**
 * Reads a vocabulary. Both arguments are parsed JSON and may hold anything: a `TokenizerError` names what can't be used.
 * The config is optional; it says which tokens begin, end and pad, and may add control tokens.
 */
export function parseTokenizer(tokenizerJson: unknown, tokenizerConfigJson?: unknown): Tokenizer {
  return new Tokenizer(parseTokenizerJson(tokenizerJson, tokenizerConfigJson));
}

export interface TemplateTextOptions {
  /** Turns the stretches between control tokens back into what users wrote, after the search (see message-guard.ts). */
  readonly restore?: (stretch: string) => string;
  /** The text goes on after other tokens. Default: false, it is the very beginning. */
  readonly isContinuation?: boolean;
}

/** Holds the vocabulary only, nothing of the texts it has seen: one instance serves everybody. Made by `parseTokenizer`. */
export class Tokenizer {
  /** One more than the highest id. A model may have more logits than this: those have no text and must not be sampled. */
  readonly vocabSize: number;
  readonly bosId: number | undefined;
  readonly eosId: number | undefined;
  readonly padId: number | undefined;
  /** Tokens that steer the model instead of spelling text. */
  readonly controlIds: ReadonlySet<number>;
  /** The characters that the names of control tokens begin with. */
  readonly controlInitials: ReadonlySet<string>;

  readonly #tables: TokenizerTables;
  readonly #bpe: BpeModel;
  /** Added tokens without text of their own in the byte table: their content is what they spell. */
  readonly #addedIds: ReadonlySet<number>;
  readonly #plain: TokenTrie;
  readonly #plainNormalized: TokenTrie;
  readonly #withControls: TokenTrie;
  readonly #controls: TokenTrie;
  #longestTextBytes: number | null = null;

  constructor(tables: TokenizerTables) {
    const plain = tables.added.filter((token) => !token.isControl);
    const controls = tables.added.filter((token) => token.isControl);
    const controlIds = new Set(controls.map((token) => token.id));
    this.vocabSize = tables.pieces.length;
    this.bosId = tables.bosId;
    this.eosId = tables.eosId;
    this.padId = tables.padId;
    this.controlIds = controlIds;
    this.controlInitials = new Set(controls.map(({ content }) => String.fromCodePoint(content.codePointAt(0)!)));
    this.#tables = tables;
    this.#addedIds = new Set(tables.added.map((token) => token.id));
    const raw = plain.filter((token) => !token.isNormalized);
    this.#plain = new TokenTrie(raw);
    this.#plainNormalized = new TokenTrie(
      plain.filter((token) => token.isNormalized),
      (token) => tables.preTokenizer.normalize(token.content),
    );
    this.#withControls = new TokenTrie([...raw, ...controls]);
    this.#controls = new TokenTrie(controls);
    this.#bpe = {
      idOf: (piece) => {
        const id = tables.ids.get(piece);
        if (id === undefined || controlIds.has(id)) return undefined;
        return tables.hasByteFallback && piece.length === 6 && fallbackByte(piece) !== undefined ? undefined : id;
      },
      merges: tables.merges,
      byteIds: tables.hasByteFallback ? byteIdsOf((piece) => tables.ids.get(piece)) : undefined,
      unknownId: tables.unknownId,
      fusesUnknown: tables.fusesUnknown,
      prefersWholeWords: tables.prefersWholeWords,
    };
  }

  /**
   * The ids of a user's text. Never a control token: `<end_of_turn>` typed by a user is spelled in ordinary pieces, or
   * anybody could end their turn and speak as someone else. (The one exception says nothing: the unknown token, where a
   * vocabulary can't spell a character.) No BOS is added. A lone surrogate counts as U+FFFD, and where `▁` spells a space
   * (Gemma) one in the text counts as a space.
   */
  encode(text: string): number[] {
    const ids: number[] = [];
    this.#encodeText(text.toWellFormed(), true, ids);
    return ids;
  }

  /** The ids of a text that goes on behind other tokens: as `encode`, but no word is taken for the first of a text. */
  encodeFurther(text: string): number[] {
    const ids: number[] = [];
    this.#encodeText(text.toWellFormed(), false, ids);
    return ids;
  }

  /** The start of a raw completion: the BOS, once, if the vocabulary begins texts with one, then `encode(text)`. */
  encodeStart(text: string): number[] {
    return this.withBos(this.encode(text));
  }

  /** Puts the BOS in front unless it stands there already or the vocabulary begins texts without one. */
  withBos(ids: number[]): number[] {
    const { bosId } = this;
    return bosId === undefined || !this.#tables.startsWithBos || ids[0] === bosId ? ids : [bosId, ...ids];
  }

  /** The ids of a text in which control tokens count, such as a chat template renders. */
  encodeTemplate(text: string, options: TemplateTextOptions = {}): number[] {
    const ids: number[] = [];
    for (const [index, section] of this.#withControls.split(text).entries()) {
      if (typeof section !== "string") {
        ids.push(section.id);
        continue;
      }
      const stretch = options.restore?.(section) ?? section;
      this.#encodeText(stretch.toWellFormed(), index === 0 && !options.isContinuation, ids);
    }
    return ids;
  }

  /** The control tokens in a template's text, in order. */
  controlsIn(text: string): AddedToken[] {
    return this.#withControls
      .split(text)
      .filter((section) => typeof section !== "string" && section.isControl) as AddedToken[];
  }

  /** Whether a control token's text starts at this place. */
  isControlAt(text: string, index: number): boolean {
    return this.#controls.lengthAt(text, index) > 0;
  }

  /**
   * The text of these ids: their bytes one after another as UTF-8, invalid sequences as U+FFFD, control tokens skipped.
   * A prefix of the ids therefore decodes to a prefix of the text, but for a last character that is still incomplete.
   */
  decode(ids: Iterable<number>): string {
    const chunks: Uint8Array[] = [];
    let length = 0;
    for (const id of ids) {
      if (this.controlIds.has(id)) continue;
      const bytes = this.pieceBytes(id);
      chunks.push(bytes);
      length += bytes.length;
    }
    const all = new Uint8Array(length);
    let at = 0;
    for (const bytes of chunks) {
      all.set(bytes, at);
      at += bytes.length;
    }
    return new TextDecoder("utf-8", { fatal: false, ignoreBOM: true }).decode(all);
  }

  /** The bytes of one token's text; a control token's are those of its name. An id that names no piece has none. */
  pieceBytes(id: number): Uint8Array {
    if (!Number.isInteger(id) || id < 0 || id >= this.vocabSize) {
      throw new OptionError("tokens", `a token id must be an integer from 0 to ${this.vocabSize - 1}, not ${id}`);
    }
    const piece = this.#tables.pieces[id];
    if (piece === undefined) return new Uint8Array();
    const { spelling } = this.#tables;
    const isLiteral = this.controlIds.has(id) || (spelling.kind === "byte-level" && this.#addedIds.has(id));
    return isLiteral ? textBytes(piece) : pieceBytes(piece, spelling);
  }

  /**
   * UTF-8 bytes that one token adds to a text at most. What is no character counts as U+FFFD, three bytes, however the tokens
   * around it go on. Reads the whole vocabulary, once.
   */
  get longestTextBytes(): number {
    if (this.#longestTextBytes === null) {
      let longest = 0;
      for (let id = 0; id < this.vocabSize; id++) {
        const bytes = this.pieceBytes(id);
        if (3 * bytes.length > longest) longest = Math.max(longest, textBytes(this.decode([id])).length);
      }
      this.#longestTextBytes = longest;
    }
    return this.#longestTextBytes;
  }

  /** The id of a vocabulary piece or an added token, spelled as in tokenizer.json. */
  idOf(piece: string): number | undefined {
    return this.#tables.ids.get(piece);
  }

  #encodeText(text: string, isFirst: boolean, ids: number[]): void {
    const { preTokenizer } = this.#tables;
    for (const [index, section] of this.#plain.split(text).entries()) {
      if (typeof section !== "string") {
        ids.push(section.id);
        continue;
      }
      for (const part of this.#plainNormalized.split(preTokenizer.normalize(section))) {
        if (typeof part !== "string") ids.push(part.id);
        else for (const word of preTokenizer.words(part, isFirst && index === 0)) encodeWord(this.#bpe, word, ids);
      }
    }
  }
}
