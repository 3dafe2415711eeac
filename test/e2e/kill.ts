/** `npm run test:kill -- --rounds 200 --seed 1 --out bench/results/kill.json`: SIGKILL of the runtime, over and over. */

import { writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { killRounds } from "./kill-rounds.ts";

const { values: args } = parseArgs({
  options: {
    rounds: { type: "string", default: "200" },
    seed: { type: "string", default: "1" },
    "segment-seconds": { type: "string" },
    out: { type: "string" },
  },
});
const [rounds, seed] = [Number(args.rounds), Number(args.seed)];
const segmentSeconds = args["segment-seconds"];
const report = await killRounds({
  rounds,
  seed,
  ...(segmentSeconds !== undefined && { segmentSeconds: Number(segmentSeconds) }),
  onRound: (line) => process.stderr.write(`${line}\n`),
});
const text = `${JSON.stringify({ machine: cpus()[0].model, date: new Date().toISOString().slice(0, 10), seed, ...report }, null, 2)}\n`;
if (args.out) await writeFile(args.out, text);
process.stdout.write(text);
process.exitCode = report.problems.length === 0 ? 0 : 1;
