/** The text of an output and the place where its log would be cut: wherever stop strings begin, whatever tokens hold. */

import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import { openTextSide } from "../../cli/model-argument.ts";
import { OutputText } from "../../shared/output-text.ts";
import type { Tokenizer } from "../../shared/tokenizer/tokenizer.ts";

const folder = fileURLToPath(new URL("../../models/fledgling-4m", import.meta.url));

let tokenizer: Tokenizer;
beforeAll(async () => {
  ({ tokenizer } = await openTextSide(folder));
});

const run = (ids: readonly number[], stop: readonly string[], eosIds: readonly number[] = []) => {
  const output = new OutputText(tokenizer, { stop, eosIds });
  let shown = "";
  const steps: { settled: number; shown: string }[] = [];
  for (const id of ids) {
    if (output.ended !== null) break;
    shown += output.push(id);
    steps.push({ settled: output.settled, shown });
  }
  return { output, shown, steps };
};

const words = fc.string({ unit: "grapheme", minLength: 1, maxLength: 30 });

test("what is shown is always the settled ids' text and what is shown beyond them", () => {
  fc.assert(
    fc.property(words, fc.array(fc.string({ minLength: 1, maxLength: 3 }), { maxLength: 3 }), (text, stop) => {
      const ids = tokenizer.encode(text);
      const { output, shown } = run(ids, stop);
      expect(tokenizer.decode(output.ids.slice(0, output.settled)) + output.shownBeyondSettled).toBe(shown);
      if (output.ended === null) {
        expect(shown + output.end()).toBe(tokenizer.decode(ids));
        expect(output.settled).toBe(ids.length);
      }
    }),
    { numRuns: 500 },
  );
});

test("it stops where the first stop string begins in the whole text", () => {
  fc.assert(
    fc.property(words, fc.nat(), fc.integer({ min: 1, max: 4 }), (text, at, length) => {
      const ids = tokenizer.encode(text);
      const whole = [...tokenizer.decode(ids)];
      const stop = whole.slice(at % whole.length, (at % whole.length) + length).join("");
      const { output, shown } = run(ids, [stop]);
      expect(shown).toBe(tokenizer.decode(ids).slice(0, tokenizer.decode(ids).indexOf(stop)));
      expect(output.stopString).toBe(stop);
    }),
    { numRuns: 500 },
  );
});

test("a character in several tokens holds the first of them back until it is whole", () => {
  const ids = tokenizer.encode("a🦉b"); // the owl is spelled in bytes
  const owl = ids.length - 2;
  expect(owl).toBeGreaterThan(1);
  const { output, steps } = run(ids, ["🦉"]);
  expect(output).toMatchObject({ ended: "stop string", settled: steps[0].settled });
  expect(tokenizer.decode(ids.slice(0, output.settled))).toBe("a");
});

test("an end token is kept in the log and shows nothing; what was held back before it is shown", () => {
  const ids = [...tokenizer.encode("one two"), 1];
  const { output, shown } = run(ids, ["two three"], [1]);
  expect(shown).toBe("one two");
  expect(output).toMatchObject({ ended: "end token", settled: ids.length });
});
