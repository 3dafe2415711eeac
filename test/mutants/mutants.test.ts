/** The mistakes of `npm run test:mutants` can still be made: code moves on, and one of them stopped a run of all in its middle. */

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { mistaken, mutants } from "./mutants.ts";

const read = (file: string) => readFileSync(new URL(`../../${file}`, import.meta.url), "utf8");

test.each(mutants)("$mistake", (mutant) => {
  const source = read(mutant.file);
  expect(mistaken(source, mutant)).not.toBe(source);
  expect(() => read(mutant.caughtBy)).not.toThrow();
});
