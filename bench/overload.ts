/**
 * More turns at once than an isolate has room for, through a real workerd: how many are served at once, how long they take,
 * and how long it takes until clients that come back when told to are all served. `npm run bench:overload`, `--turns 200`.
 */

import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { burst, type Outcome, patientBurst, repliesAlone, TOKENS } from "../test/e2e/overload.ts";
import { Runtime } from "../test/e2e/runtime.ts";

const { values } = parseArgs({ options: { turns: { type: "string", default: "200" } } });
const turns = Number(values.turns);

const runtime = await Runtime.start({ requestsPerMinute: 1_000_000 });
try {
  const keys = await Promise.all(["one", "two", "three"].map((tenant) => runtime.key(tenant)));
  const alone = await repliesAlone(runtime, keys[0]);
  process.stdout.write(
    `${cpus()[0]?.model ?? "unknown CPU"}, ${new Date().toISOString().slice(0, 10)}; the default model, ${TOKENS} tokens a turn, greedy\n`,
  );
  report("one at a time", await oneByOne(20));
  report(`${turns} at once`, await burst(runtime, keys, alone, turns));
  report(`${turns} at once, coming back when told to`, await patientBurst(runtime, keys, alone, turns));

  async function oneByOne(count: number): Promise<Outcome[]> {
    const outcomes: Outcome[] = [];
    for (let at = 0; at < count; at++) outcomes.push(...(await burst(runtime, keys, alone, 1)));
    return outcomes;
  }
} finally {
  await runtime.stop();
}

function report(what: string, outcomes: readonly Outcome[]): void {
  const served = outcomes.filter(({ reply }) => reply !== null).map(({ latencyMs }) => latencyMs);
  const waits = outcomes.filter(({ reply }) => reply === null);
  const refusals =
    waits.length === 0
      ? ""
      : `, ${waits.length} refused within ${Math.max(...waits.map(({ latencyMs }) => latencyMs)).toFixed(0)} ms (Retry-After ${range(waits)} s)`;
  process.stdout.write(
    `${what}: ${served.length} served, p50 ${quantile(served, 0.5)} ms, p99 ${quantile(served, 0.99)} ms${refusals}\n`,
  );
}

function range(waits: readonly Outcome[]): string {
  const seconds = waits.map(({ retryAfterSeconds }) => retryAfterSeconds);
  return `${Math.min(...seconds)} to ${Math.max(...seconds)}`;
}

/** The nearest rank. */
function quantile(values: readonly number[], share: number): string {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN).toFixed(0);
}
