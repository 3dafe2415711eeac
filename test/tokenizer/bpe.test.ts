/** Byte-pair encoding cuts a word where no merge ever joins: the ids are those of the whole. */

import fc from "fast-check";
import { expect, test } from "vitest";
import { type BpeModel, encodeWord } from "../../shared/tokenizer/bpe.ts";
import { parseTokenizerJson } from "../../shared/tokenizer/tokenizer-json.ts";

const letters = ["a", "b", "c", "▁", "😀"];
// The unknown token and bytes stand in words without being spelled by characters, and a file may merge them, too.
const symbols = [...letters, "<unk>", "<0x64>", "<0x65>"];

/** A vocabulary, and merges in any order of which some can never be reached. */
const tables = fc
  .array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 25 })
  .chain((picks) => fc.record({ picks: fc.constant(picks), symbolic: fc.boolean() }))
  .map(({ picks, symbolic }) => {
    const pieces = symbolic ? [...symbols] : [...letters];
    const merges: [string, string][] = [];
    for (const [l, r] of picks) {
      const [left, right] = [pieces[l % pieces.length], pieces[r % pieces.length]];
      if (left.length + right.length > 24 || merges.some(([a, b]) => a === left && b === right)) continue;
      merges.push([left, right]);
      if (!pieces.includes(left + right)) pieces.push(left + right);
    }
    const all = [...new Set([...symbols, ...pieces])];
    return parseTokenizerJson(
      {
        decoder: { type: "Fuse" },
        model: {
          type: "BPE",
          vocab: Object.fromEntries(all.map((piece, id) => [piece, id])),
          merges,
          byte_fallback: true,
          unk_token: "<unk>",
          fuse_unk: true,
        },
      },
      undefined,
    );
  });

test("any merges, any word: cut or not, the same ids", () => {
  // d and e are spelled in bytes, x in none.
  const word = fc
    .array(fc.constantFrom(...letters, "d", "e", "x"), { minLength: 1, maxLength: 40 })
    .map((characters) => characters.join(""));
  let cuts = 0;
  fc.assert(
    fc.property(tables, word, ({ ids, merges }, word) => {
      const byteIds = Array.from({ length: 256 }, (_, byte) =>
        byte === 0x64 ? ids.get("<0x64>") : byte === 0x65 ? ids.get("<0x65>") : undefined,
      );
      const idOf = (piece: string) => (piece.length <= 2 ? ids.get(piece) : undefined);
      const model: BpeModel = {
        idOf,
        merges,
        byteIds,
        unknownId: ids.get("<unk>"),
        fusesUnknown: true,
        prefersWholeWords: false,
      };
      const found: number[] = [];
      encodeWord(model, word, found);
      const whole: number[] = [];
      const uncut = new Proxy(merges, { get: (table, key) => (key === "mayJoin" ? () => true : bound(table, key)) });
      encodeWord({ ...model, merges: uncut }, word, whole);
      expect(found).toStrictEqual(whole);
      const characters = [...word];
      for (let i = 1; i < characters.length; i++) {
        const [before, after] = [ids.get(characters[i - 1]), ids.get(characters[i])];
        if (before !== undefined && after !== undefined && !merges.mayJoin(before, after)) cuts++;
      }
    }),
    { seed: 1, numRuns: 2000 },
  );
  expect(cuts).toBeGreaterThan(1000); // or nothing was tested
});

/** Private fields belong to the table, not to what stands in for it. */
function bound(table: BpeModel["merges"], key: string | symbol): unknown {
  const value = table[key as keyof typeof table];
  return typeof value === "function" ? (value as (...args: never[]) => unknown).bind(table) : value;
}
