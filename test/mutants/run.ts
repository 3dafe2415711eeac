/**
 * `npm run test:mutants [-- --out bench/results --only "part of a name"]`: makes each mistake in a copy of the repository
 * and runs the test that must catch it. Caught means that this very test ran and failed: not that it timed out, or that
 * something else broke.
 */

import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type Mutant, mistaken, mutants } from "./mutants.ts";

type Verdict = "passed" | "failed" | "timed out" | "did not run";

/** What of vitest's JSON report is looked at. */
interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly {
      readonly fullName: string;
      readonly status: string;
      readonly failureMessages?: readonly string[];
    }[];
  }[];
}

const { values } = parseArgs({ options: { out: { type: "string" }, only: { type: "string", default: "" } } });
const chosen = mutants.filter(({ mistake }) => mistake.includes(values.only));
const root = fileURLToPath(new URL("../..", import.meta.url));
const copy = mkdtempSync(join(tmpdir(), "aerie-mutants-"));
const results: { mistake: string; test: string; verdict: Verdict }[] = [];

try {
  const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
  });
  for (const file of files.trim().split("\n"))
    if (!file.startsWith("training/") && existsSync(join(root, file)))
      cpSync(join(root, file), join(copy, file), { recursive: true });
  for (const folder of ["node_modules", "build"]) symlinkSync(join(root, folder), join(copy, folder));
  for (const mutant of chosen) {
    const sound = verdictOf(mutant);
    if (sound !== "passed")
      throw new Error(`without any mistake made, the test ${sound}: ${mutant.caughtBy} ${mutant.test}`);
    const verdict = withMistake(mutant, () => verdictOf(mutant));
    process.stdout.write(
      `${verdict === "failed" ? "caught  " : "SURVIVED"}  ${mutant.mistake}  (${mutant.caughtBy}: ${verdict})\n`,
    );
    results.push({ mistake: mutant.mistake, test: `${mutant.caughtBy}: ${mutant.test}`, verdict });
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
const caught = results.filter(({ verdict }) => verdict === "failed").length;
process.stdout.write(`${caught} of ${chosen.length} caught\n`);
if (values.out !== undefined) {
  const machine = `${cpus().length} × ${cpus()[0].model}`;
  const report = { date: new Date().toISOString().slice(0, 10), machine, node: process.version, caught, results };
  writeFileSync(join(values.out, "mutants.json"), `${JSON.stringify(report, null, 2)}\n`);
}
process.exitCode = caught === chosen.length ? 0 : 1;

function withMistake<Result>(mutant: Mutant, use: () => Result): Result {
  const path = join(copy, mutant.file);
  const source = readFileSync(path, "utf8");
  writeFileSync(path, mistaken(source, mutant));
  try {
    return use();
  } finally {
    writeFileSync(path, source);
  }
}

/** Of the mutant's test, in the copy as it is. */
function verdictOf({ caughtBy, test }: Mutant): Verdict {
  const project = caughtBy.startsWith("test/edge/") ? "workerd" : "node";
  const report = join(copy, "report.json");
  rmSync(report, { force: true });
  const name = test.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&");
  const vitest = join(root, "node_modules/vitest/vitest.mjs");
  const reporting = ["--reporter", "json", "--outputFile", report, "--testTimeout", "240000"]; // machines may be busy
  spawnSync(process.execPath, [vitest, "run", "--project", project, ...reporting, "-t", name, caughtBy], {
    cwd: copy,
    stdio: "ignore",
    timeout: 300_000,
  });
  if (!existsSync(report)) return "did not run";
  const { testResults } = JSON.parse(readFileSync(report, "utf8")) as Report;
  const named = testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ fullName }) => fullName.includes(test));
  const failures = named.filter(({ status }) => status === "failed");
  if (failures.some(({ failureMessages = [] }) => !failureMessages.join().includes("timed out"))) return "failed";
  if (failures.length > 0) return "timed out";
  return named.some(({ status }) => status === "passed") ? "passed" : "did not run";
}
