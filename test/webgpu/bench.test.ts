/** `aerie bench --backend webgpu` compares like with like. */

import { expect, test } from "vitest";
import { gpu } from "../backends.ts";
import { aerie } from "../cli/aerie.ts";

// One sequence alone read a whole row of logits for every token, and several together the largest of each.
test.skipIf(!gpu)("a sequence alone does for a token what several together do", async () => {
  const sizes = ["--prompt", "8", "--generate", "3", "--batch", "1,4", "--repeats", "1"];
  const args = ["bench", "models/fledgling-4m", "--backend", "webgpu", ...sizes, "--json"];
  const { stdout, stderr } = await aerie(args);
  expect(stderr).not.toContain("aerie:");
  const tests: { test: string; dispatches: number; submissions: number }[] = JSON.parse(stdout).tests;
  const perStep = (name: string, sequences: number) => {
    const found = tests.find(({ test }) => test === name);
    return found && [found.dispatches * sequences, found.submissions * sequences];
  };
  expect(tests.map(({ test }) => test)).toStrictEqual(["pp8", "tg3", "tg3 × 1", "tg3 × 4"]);
  expect(perStep("tg3 × 1", 1)).toStrictEqual(perStep("tg3", 1));
  expect(perStep("tg3 × 4", 4)).toStrictEqual(perStep("tg3", 1));
});
