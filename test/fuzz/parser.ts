/** What a parser is to the fuzzer, and the judgement that all of them share. */

import type fc from "fast-check";
import type { AerieError } from "../../shared/errors.ts";

export type Verdict = "accepted" | "refused";

export interface Parser<Input = never> {
  readonly name: string;
  readonly inputs: fc.Arbitrary<Input>;
  /**
   * Throws where an input was neither accepted as what it is nor refused in a clear sentence. What runs outside of `measured`,
   * where that is called at all, is not on the parser's account.
   */
  judge(input: Input, measured: Measured): Promise<Verdict> | Verdict;
}

export type Measured = <Result>(parsing: () => Promise<Result> | Result) => Promise<Result>;

/** An entry of the table: its input's type is its own affair. */
export type AnyParser = { readonly name: string; with<Result>(use: <Input>(parser: Parser<Input>) => Result): Result };

export const entry = <Input>(parser: Parser<Input>): AnyParser => ({ name: parser.name, with: (use) => use(parser) });

/** Inputs from here on are large: bodies of up to 1 MiB, state files of up to 18 MiB. What they leave behind is nobody else's growth. */
export const LARGE_BYTES = 2 ** 17;

type ErrorClass = abstract new (...args: never[]) => AerieError;

/** Longer ones quote what they refuse without a bound. */
const MAX_SENTENCE = 1000;

/** "refused" for an error of the project's own that says what is wrong; any other is a finding and thrown on. */
export function refusedBy(error: unknown, classes: readonly ErrorClass[], names: RegExp): "refused" {
  if (!classes.some((one) => error instanceof one)) throw error;
  const { message } = error as AerieError;
  if (!names.test(message) || message.length > MAX_SENTENCE || /\[object |\bfunction\b|\n\s+at /.test(message))
    throw new Error(
      `expected a sentence of at most ${MAX_SENTENCE} characters that matches ${names}, found: ${message.slice(0, 2000)}`,
    );
  return "refused";
}

export function mustBe(isSo: boolean, what: string): void {
  if (!isSo) throw new Error(`accepted, but ${what}`);
}

/** Members that a JSON text writes down, and those that are left in its value: fewer where a key is there twice. */
export function membersOf(text: string): {
  readonly written: number;
  readonly read: number;
  readonly hasPrototype: boolean;
} {
  const written = text.replaceAll(/"(?:[^"\\]|\\.)*"/g, "").split(":").length - 1;
  let [read, hasPrototype] = [0, false];
  const count = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    if (!Array.isArray(value)) read += Object.keys(value).length;
    hasPrototype ||= Object.hasOwn(value, "__proto__");
    for (const inner of Object.values(value)) count(inner);
  };
  count(JSON.parse(text.replace(/^\ufeff/, ""))); // a byte order mark is legal where a text is decoded from bytes
  return { written, read, hasPrototype };
}

/** Equal as JSON: −0 is 0 there, and the order of keys counts. */
export function mustEqual(found: unknown, expected: unknown, what: string): void {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (a !== b) throw new Error(`accepted, but ${what}: expected ${b?.slice(0, 500)}, found ${a?.slice(0, 500)}`);
}
