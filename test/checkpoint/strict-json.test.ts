/** Is strict JSON what `JSON.parse` takes, less what has two meanings? */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseStrictJson } from "../../shared/checkpoint/strict-json.ts";
import { CheckpointError } from "../../shared/errors.ts";
import { objectText } from "./sources.ts";

/** The value, or the sentence of the refusal. */
function strict(text: string): { value: unknown } | { refused: string } {
  try {
    return { value: parseStrictJson(text, "x.json") };
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    expect(error.message).toMatch(/^x\.json /);
    return { refused: error.message };
  }
}

function lenient(text: string): { value: unknown } | null {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return null;
  }
}

const blank = fc.string({ unit: fc.constantFrom(" ", "\t", "\n", "\r"), maxLength: 3 });

/** The same string with some letters as escapes. */
const anyString = fc
  .array(fc.tuple(fc.string({ unit: "binary", minLength: 1, maxLength: 2 }), fc.boolean()), { maxLength: 4 })
  .map(
    (parts) =>
      `"${parts.map(([part, isEscaped]) => (isEscaped ? escaped(part) : JSON.stringify(part).slice(1, -1))).join("")}"`,
  );

const escaped = (text: string): string =>
  Array.from({ length: text.length }, (_, at) => `\\u${text.charCodeAt(at).toString(16).padStart(4, "0")}`).join("");

/** JSON with blanks everywhere, brackets, quotes and backslashes in strings, and keys from few, so that some meet again. */
const { json } = fc.letrec<{ json: string }>((tie) => ({
  json: fc
    .tuple(
      blank,
      fc.oneof(
        { maxDepth: 3 },
        fc.constantFrom("0", "-1.5e-3", "true", "false", "null", '"{"', '"]"', '"\\\\"', '"\\"', '"a":'),
        anyString,
        fc.array(tie("json"), { maxLength: 3 }).map((items) => `[${items.join()}]`),
        fc
          .array(fc.tuple(blank, fc.oneof(anyString, fc.constantFrom('"a"', '"\\u0061"', '"b"')), blank, tie("json")), {
            maxLength: 4,
          })
          .map(
            (members) => `{${members.map(([before, key, after, value]) => `${before + key + after}:${value}`).join()}}`,
          ),
      ),
      blank,
    )
    .map((parts) => parts.join("")),
}));

/** Whether some object has a key twice: then writing the value again gives fewer keys than the text has. */
function losesKeys(text: string): boolean {
  const keysIn = (value: unknown): number =>
    value === null || typeof value !== "object"
      ? 0
      : Object.values(value).reduce(
          (sum: number, each) => sum + keysIn(each),
          Array.isArray(value) ? 0 : Object.keys(value).length,
        );
  const colons = text.replace(/"(?:[^"\\]|\\.)*"/g, "").split(":").length - 1;
  return colons > keysIn(JSON.parse(text));
}

describe("strict JSON", () => {
  test("is JSON without a key twice", async () => {
    let duplicates = 0;
    fc.assert(
      fc.property(json, (text) => {
        const expected = lenient(text);
        const found = strict(text);
        if (expected === null) expect(found).toHaveProperty("refused");
        else if (losesKeys(text)) {
          duplicates++;
          expect(found).toMatchObject({ refused: expect.stringContaining("twice in one object") });
        } else expect(found).toStrictEqual(expected);
      }),
      { numRuns: 2000 },
    );
    expect(duplicates).toBeGreaterThan(20);
  });

  test("is never more than JSON, whatever the text", () => {
    const noise = fc.string({ unit: fc.constantFrom(...'{}[]":,\\ua0e- \n\u0000'), maxLength: 30 });
    fc.assert(
      fc.property(fc.oneof(noise, fc.string(), fc.json()), (text) => {
        const found = strict(text);
        if ("value" in found) expect(found).toStrictEqual(lenient(text));
      }),
      { numRuns: 3000 },
    );
  });

  test("takes 64 levels and no more, brackets in strings aside", () => {
    const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels);
    expect(strict(nested(64))).toStrictEqual(lenient(nested(64)));
    expect(strict(nested(65))).toStrictEqual({ refused: "x.json nests deeper than 64 levels" });
    expect(strict(`[${nested(63)},${nested(63)}]`)).toHaveProperty("value");
    expect(strict(JSON.stringify(["[".repeat(100), { '"[{\\': "]" }]))).toHaveProperty("value");
  });

  test("names the key that is there twice by the way to it", () => {
    expect(strict('{"a":{"b":[{"c":1},{"c":1,"c":2}]}}')).toStrictEqual({
      refused: 'x.json has the key "a.b.c" twice in one object',
    });
    expect(strict('{"a":{"x":1},"b":{"x":2},"b":3}')).toStrictEqual({
      refused: 'x.json has the key "b" twice in one object',
    });
    expect(
      strict(
        objectText([
          ["__proto__", "1"],
          ["constructor", "2"],
          ["", "3"],
        ]),
      ),
    ).toHaveProperty("value");
  });
});
