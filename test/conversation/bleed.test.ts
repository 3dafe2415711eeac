/** The short form of `npm run test:bleed`. */

import { expect, test } from "vitest";
import { bleed } from "./bleed.ts";

test("nothing of one conversation gets into another, interleaved and aborted as they come", async () => {
  const report = await bleed(240, 20261122);
  expect(report.wrong).toStrictEqual([]);
  expect(report.interleavings).toBeGreaterThanOrEqual(240);
  expect(report.aborted).toBeGreaterThan(20);
});
