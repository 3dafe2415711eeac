/** How large a row may become. SQLite in a Durable Object refuses rows of 2 MB; here they are refused before, by a sentence. */

import { AerieError } from "../errors.ts";
import { RefusedError } from "./refusal.ts";
import type { SqlValue } from "./sql.ts";

/** Of all values of one row: 2 MB less a tenth, for what SQLite adds and for short columns. */
export const MAX_ROW_BYTES = 1_800_000;

/** What a turn or some messages bring into their row: instructions, the system text that they are part of, input. */
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

/**
 * Refuses a turn whose row would outgrow its limit by the longest reply that it may get. What can't be written at its end can't
 * be written as a failure either: it would be tried for ever.
 */
export function checkReply(
  texts: readonly string[],
  { tokens, bytesPerToken }: { readonly tokens: number; readonly bytesPerToken: number },
): void {
  const bytes = texts.reduce((sum, text) => sum + bytesOf(text), 0);
  const room = Math.floor((MAX_ROW_BYTES - bytes) / bytesPerToken);
  if (tokens > room)
    throw new RefusedError(
      413,
      "input_too_large",
      `input: it and what belongs to it take ${bytes} bytes, which leaves room for a reply of ${room} tokens, and it may have ${tokens}: ask for fewer, or send the input in several`,
      { param: "input" },
    );
}

/** As SQLite stores it: text as UTF-8. Encoding a text only to count it is spared where it can't be much. */
function bytesOf(value: SqlValue): number {
  if (value instanceof Uint8Array) return value.length;
  if (typeof value !== "string") return value === null ? 0 : 8;
  return value.length < 10_000 ? 3 * value.length : new TextEncoder().encode(value).length;
}
