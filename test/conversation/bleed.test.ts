/** The short form of `npm run test:bleed`. */

import { expect, test } from "vitest";
import { bleed } from "./bleed.ts";

test("nothing of one conversation gets into another, however they are interleaved, aborted and pulled away", {
  timeout: 240_000,
}, async () => {
  const report = await bleed(240, 20261122);
  expect(report.wrong).toStrictEqual([]);
  expect(report.interleavings).toBeGreaterThanOrEqual(240);
  expect(report.aborted).toBeGreaterThan(20);
  expect(report.takenOver).toBeGreaterThan(10);
  expect(report.passing).toBeGreaterThan(20);
  expect(report.traps).toBeGreaterThan(3);
  expect(report.reused).toBe(0);
  expect(report.dropped).toBeGreaterThan(0);
  expect(report.outlived).toBeGreaterThan(0);
  expect(report.loads).toBeGreaterThan(report.traps);
});
