/** Which bytes a vocabulary piece stands for: the `decoder` field of tokenizer.json, read as a map from one piece to its bytes. */

import { TokenizerError } from "../errors.ts";

/**
 * How pieces are spelled. A text is the UTF-8 decoding of its tokens' bytes one after another, so only decoders that
 * treat each piece on its own qualify; one that looks at a neighbour (strips a first space, joins words) would make the
 * text of a prefix differ from a prefix of the text, and streams could not be trusted.
 */
export type PieceSpelling =
  /** GPT-2's: every character of a piece is one byte. */
  | { readonly kind: "byte-level" }
  /** SentencePiece's: a piece is text after replacements (`▁` is a space); `<0xE2>` is a byte if `byteFallback`. */
  | { readonly kind: "text"; readonly replacements: readonly Replacement[]; readonly byteFallback: boolean };

export interface Replacement {
  readonly from: string;
  readonly to: string;
}

const utf8 = new TextEncoder();

/** The bytes of an ordinary piece. Added tokens of a byte-level vocabulary are plain text: `textBytes` is for them. */
export function pieceBytes(piece: string, spelling: PieceSpelling): Uint8Array {
  switch (spelling.kind) {
    case "byte-level":
      return byteLevelBytes(piece);
    case "text": {
      const byte = spelling.byteFallback ? fallbackByte(piece) : undefined;
      if (byte !== undefined) return Uint8Array.of(byte);
      let text = piece;
      for (const { from, to } of spelling.replacements) text = text.replaceAll(from, to);
      return utf8.encode(text);
    }
    default:
      return spelling satisfies never;
  }
}

export function textBytes(text: string): Uint8Array {
  return utf8.encode(text);
}

/** The byte that a piece like `<0x0A>` stands for; `undefined` for any other piece. */
export function fallbackByte(piece: string): number | undefined {
  return /^<0x[0-9A-Fa-f]{2}>$/.test(piece) ? Number.parseInt(piece.slice(3, 5), 16) : undefined;
}

/** The piece that stands for one byte where a character has no piece of its own. */
export function fallbackPiece(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
}

/** Reads `decoder`; throws a `TokenizerError` that names a decoder whose text can't be streamed or isn't known. */
export function parseDecoder(decoder: unknown): PieceSpelling {
  const steps = flatten(decoder, 0);
  if (steps.some((step) => step.type === "ByteLevel")) {
    const other = steps.find((step) => step.type !== "ByteLevel" && step.type !== "Fuse");
    if (other !== undefined) throw refused(`${String(other.type)} next to ByteLevel`);
    return { kind: "byte-level" };
  }
  const replacements: Replacement[] = [];
  let byteFallback = false;
  let isFused = false;
  for (const step of steps) {
    switch (step.type) {
      case "Replace":
        replacements.push(parseReplace(step, isFused));
        break;
      case "Metaspace":
        replacements.push(parseMetaspace(step));
        break;
      case "ByteFallback":
        if (isFused) throw refused("ByteFallback after Fuse");
        byteFallback = true;
        break;
      case "Fuse":
        isFused = true;
        break;
      default:
        throw refused(String(step.type));
    }
  }
  return { kind: "text", replacements, byteFallback };
}

type Step = Record<string, unknown>;

/** Sequences within sequences, as one list. */
function flatten(decoder: unknown, depth: number): Step[] {
  if (typeof decoder !== "object" || decoder === null || Array.isArray(decoder)) {
    throw new TokenizerError("tokenizer.json: decoder must be an object that says how pieces become text");
  }
  const step = decoder as Step;
  if (typeof step.type !== "string") throw new TokenizerError("tokenizer.json: decoder.type must be a string");
  if (step.type !== "Sequence") return [step];
  if (!Array.isArray(step.decoders) || depth > 8) {
    throw new TokenizerError("tokenizer.json: decoder.decoders must be a list of decoders");
  }
  return step.decoders.flatMap((inner) => flatten(inner, depth + 1));
}

function parseReplace(step: Step, isFused: boolean): Replacement {
  const from = (step.pattern as Step | null | undefined)?.String;
  const to = step.content;
  if (typeof from !== "string" || from === "" || typeof to !== "string") {
    throw refused("Replace with anything but a fixed string");
  }
  // Over fused text a longer pattern could match across two pieces.
  if (isFused && [...from].length > 1) throw refused(`Replace of "${from}" after Fuse`);
  return { from, to };
}

function parseMetaspace(step: Step): Replacement {
  if (step.prepend_scheme !== "never") throw refused("Metaspace that strips a first space");
  const from = step.replacement ?? "▁";
  if (typeof from !== "string" || from === "") throw refused("Metaspace without a replacement");
  return { from, to: " " };
}

function refused(what: string): TokenizerError {
  return new TokenizerError(
    `tokenizer.json: the decoder ${what} is not supported; Aerie needs each piece to have its own text`,
  );
}

/** GPT-2's table the other way round: the printable bytes are themselves, the other 68 follow from U+0100 in order. */
const byteOfChar: ReadonlyMap<string, number> = (() => {
  const table = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const isPrintable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    table.set(String.fromCharCode(isPrintable ? byte : next++), byte);
  }
  return table;
})();

function byteLevelBytes(piece: string): Uint8Array {
  const bytes: number[] = [];
  for (const char of piece) {
    const byte = byteOfChar.get(char);
    // Not spelled in the table at all: the piece is plain text, as Hugging Face reads it.
    if (byte === undefined) return utf8.encode(piece);
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}
