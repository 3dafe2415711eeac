/** The short form of `npm run test:fuzz`: a few hundred hostile inputs for every parser, new ones in every run. */

import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { type FuzzReport, findingsOf } from "./fuzz.ts";
import { parsers } from "./parsers.ts";

const program = fileURLToPath(new URL("run.ts", import.meta.url));
let reports: readonly FuzzReport[];

// In a process with the flags of the long form: what a case takes is measured alike.
beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), "aerie-fuzz-"));
  try {
    const out = join(folder, "fuzz.json");
    const seed = String(Math.floor(Math.random() * 2 ** 31));
    const flags = ["--max-semi-space-size=1", "--no-warnings"];
    // Findings make it exit with 1; they are in the report.
    await promisify(execFile)(process.execPath, [
      ...flags,
      program,
      "--cases",
      "300",
      "--seed",
      seed,
      "--out",
      out,
    ]).catch((error: { code?: unknown }) => {
      if (error.code !== 1) throw error;
    });
    reports = (JSON.parse(readFileSync(out, "utf8")) as { parsers: FuzzReport[] }).parsers;
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 240_000);

describe("accepted as what it is, or refused in a sentence", () => {
  test.each(parsers.map(({ name }) => name))("%s", (name) => {
    const report = reports.find((one) => one.name === name) as FuzzReport;
    expect(findingsOf(report)).toStrictEqual([]);
    expect(report.accepted, "none of the inputs was sound: nothing behind the first check was reached").toBeGreaterThan(
      0,
    );
    expect(report.refused).toBeGreaterThan(0);
  });
});
