/** `npm run test:fuzz -- --cases N --seed S --only <parser>`: hostile input to every parser, with figures for each. */

import { parseArgs } from "node:util";
import { fuzz } from "./fuzz.ts";
import { parsers } from "./parsers.ts";

/** A request that keeps a thread this long is a finding, whatever the answer was. */
const SLOW_MS = 250;
/** An isolate has 128 MB for everybody. */
const LARGE_BYTES = 32 * 2 ** 20;

const { values } = parseArgs({
  options: {
    cases: { type: "string", default: "100000" },
    seed: { type: "string", default: "1" },
    only: { type: "string" },
  },
});
const [cases, seed] = [Number(values.cases), Number(values.seed)];
const chosen = parsers.filter(({ name }) => values.only === undefined || name.includes(values.only));
if (chosen.length === 0) throw new Error(`--only: expected one of ${parsers.map(({ name }) => name).join(", ")}`);

let findings = 0;
process.stdout.write(`${cases} cases each, seed ${seed}\n`);
process.stdout.write(line(["parser", "cases", "accepted", "refused", "seconds", "slowest ms", "growth MiB"]));
for (const parser of chosen) {
  const report = await fuzz(parser, { cases, seed });
  const { name, accepted, refused, seconds, slowestMs, growthBytes, finding } = report;
  const growth = (growthBytes / 2 ** 20).toFixed(1);
  process.stdout.write(line([name, report.cases, accepted, refused, seconds.toFixed(0), slowestMs.toFixed(1), growth]));
  const found = [
    ...(finding === null ? [] : [finding]),
    ...(slowestMs > SLOW_MS ? [`a case took ${slowestMs.toFixed(0)} ms, more than ${SLOW_MS}`] : []),
    ...(growthBytes > LARGE_BYTES ? [`a case took ${growth} MiB, more than ${LARGE_BYTES / 2 ** 20}`] : []),
  ];
  for (const what of found) process.stdout.write(`  FINDING  ${name}: ${what}\n`);
  findings += found.length;
}
process.stdout.write(findings === 0 ? "no findings\n" : `${findings} findings\n`);
process.exitCode = findings === 0 ? 0 : 1;

function line([name, ...figures]: readonly (string | number)[]): string {
  return `${String(name).padEnd(22)}${figures.map((figure) => String(figure).padStart(11)).join("")}\n`;
}
