/** `npm run test:mutants`: makes each mistake in a copy of the repository and runs the test that must catch it. */

import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Mutant, mutants } from "./mutants.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const copy = mkdtempSync(join(tmpdir(), "aerie-mutants-"));
const survivors: string[] = [];

try {
  const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
  });
  for (const file of files.trim().split("\n"))
    if (!file.startsWith("training/")) cpSync(join(root, file), join(copy, file), { recursive: true });
  for (const folder of ["node_modules", "build"]) symlinkSync(join(root, folder), join(copy, folder));
  const tests = [...new Set(mutants.map(({ caughtBy }) => caughtBy))];
  if (!passes(tests)) throw new Error("the tests fail without any mistake made: mend them first");
  for (const mutant of mutants) {
    const isCaught = withMistake(mutant, () => !passes([mutant.caughtBy], mutant.only));
    process.stdout.write(`${isCaught ? "caught  " : "SURVIVED"}  ${mutant.mistake}  (${mutant.caughtBy})\n`);
    if (!isCaught) survivors.push(mutant.mistake);
  }
} finally {
  rmSync(copy, { recursive: true, force: true });
}
process.stdout.write(`${mutants.length - survivors.length} of ${mutants.length} caught\n`);
process.exitCode = survivors.length === 0 ? 0 : 1;

function withMistake<Result>({ file, from, to }: Mutant, use: () => Result): Result {
  const path = join(copy, file);
  const source = readFileSync(path, "utf8");
  if (source.split(from).length !== 2) throw new Error(`${file}: expected exactly one ${JSON.stringify(from)}`);
  writeFileSync(
    path,
    source.replace(from, () => to),
  );
  try {
    return use();
  } finally {
    writeFileSync(path, source);
  }
}

function passes(tests: readonly string[], only?: string): boolean {
  const filter = only === undefined ? [] : ["-t", only];
  const vitest = join(root, "node_modules/vitest/vitest.mjs");
  const { status } = spawnSync(
    process.execPath,
    [vitest, "run", "--project", "node", "--bail", "1", ...filter, ...tests],
    {
      cwd: copy,
      stdio: "ignore",
      timeout: 300_000,
    },
  );
  return status === 0;
}
