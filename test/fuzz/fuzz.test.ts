/** The short form of `npm run test:fuzz`: a few hundred hostile inputs for every parser, new ones in every run. */

import { describe, expect, test } from "vitest";
import { findingsOf, fuzz } from "./fuzz.ts";
import { parsers } from "./parsers.ts";

describe("accepted as what it is, or refused in a sentence", () => {
  test.each(parsers.map((parser) => [parser.name, parser] as const))("%s", async (_, parser) => {
    const report = await fuzz(parser, { cases: 300, seed: Math.floor(Math.random() * 2 ** 31) });
    expect(findingsOf(report)).toStrictEqual([]);
    expect(report.accepted, "none of the inputs was sound: nothing behind the first check was reached").toBeGreaterThan(
      0,
    );
    expect(report.refused).toBeGreaterThan(0);
  });
});
