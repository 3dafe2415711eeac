/**
 * `npm run test:fuzz -- --cases N --seed S --only <parser> --out bench/results/fuzz.json`: hostile input to every parser, with
 * figures for each. `--seconds`: no parser is begun after so many, and that is said.
 */

import { writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { type FuzzReport, findingsOf, fuzz } from "./fuzz.ts";
import { parsers } from "./parsers.ts";

const { values } = parseArgs({
  options: {
    cases: { type: "string", default: "100000" },
    seed: { type: "string", default: "1" },
    only: { type: "string" },
    seconds: { type: "string", default: "Infinity" },
    out: { type: "string" },
  },
});
const [cases, seed] = [Number(values.cases), Number(values.seed)];
const chosen = parsers.filter(({ name }) => values.only === undefined || name.includes(values.only));
if (chosen.length === 0) throw new Error(`--only: expected one of ${parsers.map(({ name }) => name).join(", ")}`);

const end = performance.now() + 1000 * Number(values.seconds);
const reports: FuzzReport[] = [];
const findings: string[] = [];
process.stdout.write(`${cases} cases each, seed ${seed}\n`);
process.stdout.write(
  line([
    "parser",
    "cases",
    "accepted",
    "refused",
    "seconds",
    "slowest ms",
    "growth MiB",
    "large",
    "slowest ms",
    "growth MiB",
  ]),
);
for (const parser of chosen) {
  if (performance.now() > end) {
    findings.push(`${parser.name}: not run, the time was up`);
    continue;
  }
  const report = await fuzz(parser, { cases, seed });
  reports.push(report);
  const { name, accepted, refused, seconds, small, large } = report;
  const costs = [small, large].map((cost) => [cost.slowestMs.toFixed(1), (cost.growthBytes / 2 ** 20).toFixed(1)]);
  const figures = [report.cases, accepted, refused, seconds.toFixed(0), ...costs[0], large.cases, ...costs[1]];
  process.stdout.write(line([name, ...figures]));
  findings.push(...findingsOf(report).map((what) => `${name}: ${what}`));
}
for (const what of findings) process.stdout.write(`  FINDING  ${what}\n`);
process.stdout.write(findings.length === 0 ? "no findings\n" : `${findings.length} findings\n`);
if (values.out !== undefined) {
  const date = new Date().toISOString().slice(0, 10);
  const result = {
    machine: cpus()[0].model,
    cores: cpus().length,
    date,
    casesEach: cases,
    seed,
    findings,
    parsers: reports,
  };
  await writeFile(values.out, `${JSON.stringify(result, null, 2)}\n`);
}
process.exitCode = findings.length === 0 ? 0 : 1;

function line([name, ...figures]: readonly (string | number)[]): string {
  return `${String(name).padEnd(22)}${figures.map((figure) => String(figure).padStart(11)).join("")}\n`;
}
