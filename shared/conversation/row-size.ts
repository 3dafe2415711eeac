/** How large a row may become. SQLite in a Durable Object refuses rows of 2 MB; here they are refused before, by a sentence. */

import { AerieError } from "../errors.ts";
import { RefusedError } from "./refusal.ts";
import type { SqlValue } from "./sql.ts";

/** Of all values of one row: 2 MB less a tenth, for what SQLite adds and for what is written into the row later. */
export const MAX_ROW_BYTES = 1_800_000;

/**
 * What a turn or some messages bring into their row: instructions, the system text that they are part of, input. The rest is
 * for the reply: 16,384 tokens, the most there are, of 36 bytes; the longest of Gemma's 256,000 pieces has 48.
 */
export const MAX_TEXT_BYTES = 1_200_000;

/** A statement would write more than a row holds. A bug of ours: what callers send is refused before it gets there. */
export class RowTooLarge extends AerieError {
  constructor(bytes: number, statement: string) {
    super(
      "storage.row",
      `a row may have ${MAX_ROW_BYTES} bytes, ${bytes} were to be written: ${statement.trim().slice(0, 60)}`,
    );
  }
}

/** Before a statement: all it binds may end up in one row. */
export function checkRow(statement: string, values: readonly SqlValue[]): void {
  const bytes = values.reduce<number>((sum, value) => sum + bytesOf(value), 0);
  if (bytes > MAX_ROW_BYTES) throw new RowTooLarge(bytes, statement);
}

/** Refuses texts that one row can't hold along with a reply. */
export function checkTexts(texts: readonly (string | null)[]): void {
  const bytes = texts.reduce<number>((sum, text) => sum + bytesOf(text), 0);
  if (bytes > MAX_TEXT_BYTES)
    throw new RefusedError(
      413,
      "input_too_large",
      `input: with its instructions and all system text it takes ${bytes} bytes, one turn has room for ${MAX_TEXT_BYTES}: send it in several`,
      { param: "input" },
    );
}

/** As SQLite stores it: text as UTF-8. Encoding a text only to count it is spared where it can't be much. */
function bytesOf(value: SqlValue): number {
  if (value instanceof Uint8Array) return value.length;
  if (typeof value !== "string") return value === null ? 0 : 8;
  return value.length < 10_000 ? 3 * value.length : new TextEncoder().encode(value).length;
}
