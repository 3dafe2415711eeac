/**
 * More turns at once than an isolate has room for, through a real workerd: how many are served at once, how long they take,
 * and how long it takes until clients that come back when told to are all served. `npm run bench:overload`, `--turns 200`.
 * A wrong or half answer, or an error that is not 429 with Retry-After, ends it with an error.
 */

import { mkdir, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { defaultModel } from "../test/e2e/default-model.ts";
import { burst, type Outcome, patientBurst, repliesAlone, TOKENS } from "../test/e2e/overload.ts";
import { Runtime } from "../test/e2e/runtime.ts";

const { values } = parseArgs({ options: { turns: { type: "string", default: "200" }, out: { type: "string" } } });
const turns = Number(values.turns);

const runtime = await Runtime.start({ requestsPerMinute: 1_000_000 });
try {
  const keys = await Promise.all(["one", "two", "three"].map((tenant) => runtime.key(tenant)));
  const alone = await repliesAlone(runtime, keys[0]);
  const phases = [
    figures("one at a time", await oneByOne(20)),
    figures(`${turns} at once`, await burst(runtime, keys, alone, turns)),
    figures(`${turns} at once, coming back when told to`, await patientBurst(runtime, keys, alone, turns)),
  ];
  const result = {
    machine: cpus()[0]?.model ?? "unknown CPU",
    cores: cpus().length,
    date: new Date().toISOString().slice(0, 10),
    model: defaultModel.id,
    tokensPerTurn: TOKENS,
    phases,
  };
  process.stdout.write(`${result.machine}, ${result.date}; ${result.model}, ${TOKENS} tokens a turn, greedy\n`);
  for (const phase of phases) process.stdout.write(`${sentence(phase)}\n`);
  if (values.out !== undefined) {
    await mkdir(values.out, { recursive: true });
    await writeFile(`${values.out}/overload.json`, `${JSON.stringify(result, null, 2)}\n`);
  }

  async function oneByOne(count: number): Promise<Outcome[]> {
    const outcomes: Outcome[] = [];
    for (let at = 0; at < count; at++) outcomes.push(...(await burst(runtime, keys, alone, 1)));
    return outcomes;
  }
} finally {
  await runtime.stop();
}

interface Figures {
  readonly what: string;
  readonly served: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly refused: number;
  /** How long the slowest refusal took, and what Retry-After said. null: nobody was refused. */
  readonly refusals: { readonly slowestMs: number; readonly retryAfterSeconds: readonly [number, number] } | null;
}

function figures(what: string, outcomes: readonly Outcome[]): Figures {
  const latencies = outcomes.filter(({ reply }) => reply !== null).map(({ latencyMs }) => latencyMs);
  const waits = outcomes.filter(({ reply }) => reply === null);
  const seconds = waits.map(({ retryAfterSeconds }) => retryAfterSeconds);
  return {
    what,
    served: latencies.length,
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
    refused: waits.length,
    refusals:
      waits.length === 0
        ? null
        : {
            slowestMs: Math.round(Math.max(...waits.map(({ latencyMs }) => latencyMs))),
            retryAfterSeconds: [Math.min(...seconds), Math.max(...seconds)],
          },
  };
}

function sentence({ what, served, p50Ms, p99Ms, refused, refusals }: Figures): string {
  const rest = refusals
    ? `, ${refused} refused within ${refusals.slowestMs} ms (Retry-After ${refusals.retryAfterSeconds.join(" to ")} s)`
    : "";
  return `${what}: ${served} served, p50 ${p50Ms} ms, p99 ${p99Ms} ms${rest}`;
}

/** The nearest rank, in whole milliseconds. */
function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return Math.round(sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN);
}
