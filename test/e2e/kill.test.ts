/** SIGKILL in the middle of turns, the short form: what was acknowledged is neither lost nor doubled. */

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { ARMING_PATH } from "./hold.ts";
import { killRounds, missed } from "./kill-rounds.ts";

const ROUNDS = 13; // each scenario once
const seed = Number(process.env.KILL_SEED ?? Math.floor(Math.random() * 2 ** 31)); // another one every time: report it

test("a killed runtime goes on as if nothing had happened", { timeout: 240_000 }, async () => {
  const report = await killRounds({ rounds: ROUNDS, seed });
  const { problems, phases, kills, acknowledgedBefore, acknowledged, retried } = report;
  const histogram = Object.entries(phases).map(([phase, count]) => `${phase} ${count}`);
  console.log(
    `${kills} kills, seed ${seed}: ${histogram.join(", ")}; ` +
      `${acknowledgedBefore} of ${acknowledged} events acknowledged before a kill, ${retried} requests sent again`,
  );
  expect(problems).toStrictEqual([]);
  expect(kills).toBeGreaterThanOrEqual(ROUNDS);
  expect(missed(report, 1)).toStrictEqual([]);
});

test("what is deployed can't be held still", () => {
  const bundle = readFileSync(new URL("../../build/worker/index.js", import.meta.url), "utf8");
  expect(bundle).not.toContain(ARMING_PATH);
});
