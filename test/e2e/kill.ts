/** `npm run test:kill -- --rounds 200 --seed 1 --out bench/results/kill.json`: SIGKILL of the runtime, over and over. */

import { appendFile, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { killRounds, missed } from "./kill-rounds.ts";

/** Of so many rounds, that each phase and operation is hit this often can be asked for. */
const [ENOUGH_ROUNDS, TIMES] = [200, 10];

const { values: args } = parseArgs({
  options: {
    rounds: { type: "string", default: "200" },
    seed: { type: "string", default: "1" },
    seconds: { type: "string" },
    out: { type: "string" },
  },
});
if (args.out) await appendFile(args.out, ""); // a file that can't be written is no surprise for the end
const [rounds, seed] = [Number(args.rounds), Number(args.seed)];
const report = await killRounds({
  rounds,
  seed,
  ...(args.seconds !== undefined && { seconds: Number(args.seconds) }),
  onRound: (line) => process.stderr.write(`${line}\n`),
});
const wrong = [
  ...report.problems,
  ...(rounds < ENOUGH_ROUNDS ? [] : missed(report, TIMES)),
  ...(report.rounds < rounds ? [`${report.rounds} rounds of ${rounds}: the time was up`] : []),
];
const result = {
  machine: cpus()[0].model,
  cores: cpus().length,
  date: new Date().toISOString().slice(0, 10),
  seed,
  ...report,
};
const text = `${JSON.stringify(result, null, 2)}\n`;
process.stdout.write(text);
if (args.out) await writeFile(args.out, text);
const widest = Math.max(...Object.values(report.phases));
for (const [phase, count] of Object.entries(report.phases))
  process.stdout.write(
    `${phase.padEnd(22)} ${String(count).padStart(4)} ${"█".repeat(Math.round((40 * count) / widest))}\n`,
  );
for (const what of wrong) process.stdout.write(`WRONG  ${what}\n`);
process.exitCode = wrong.length === 0 ? 0 : 1;
