/**
 * What it costs to come back: conversations of 1 k to 1 M tokens, really processed, then one short turn after everything was
 * evicted. Rows, bytes and tokens must be the same for all of them and in every round, the best latency of the longest at
 * most a tenth above that of the shortest: else it exits with 1. `npm run bench:resume`, `--json`, `--lengths 1000,10000`.
 */

import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual, parseArgs } from "node:util";
import OpenAI from "openai";
import { openTextSide } from "../cli/model-argument.ts";
import { defaultFolder, defaultModel } from "../test/e2e/default-model.ts";
import { Runtime } from "../test/e2e/runtime.ts";
import { curvePlot } from "./curve-plot.ts";

const { values: args } = parseArgs({
  options: {
    lengths: { type: "string", default: "1000,10000,100000,1000000" },
    rounds: { type: "string", default: "60" },
    json: { type: "boolean" },
    out: { type: "string" },
  },
});
const lengths = args.lengths.split(",").map(Number);
const rounds = Number(args.rounds);

const WINDOW = 64; // segments end at multiples of it: turns are compared that begin at the same place in one
const MAX_INPUT_TOKENS = 60_000; // of one turn: its JSON stays below the limit of a body

/** The longest conversation's best latency may be this many times the shortest one's. */
const MAX_LATENCY_RATIO = 1.1;

/** An object's alarm rings this long after its last turn, once: it is not to ring in the middle of a measurement. */
const ALARM_MS = 32_000;

/** What the object logs behind each turn. */
interface Storage {
  readonly rowsRead: number;
  readonly rowsWritten: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

interface Cost extends Storage {
  readonly processedTokens: number;
}

interface Measured extends Cost {
  readonly length: number; // tokens before the turn
  readonly latencyMs: { readonly best: number; readonly median: number };
}

// One token, always the same: the same work every time, and texts of equal length.
const { tokenizer } = await openTextSide(defaultFolder);
const word = tokenizer.encode("and and")[1];
const turn = {
  model: defaultModel.id,
  temperature: 0,
  max_output_tokens: 1,
  extra: { logit_bias: { [word]: 100 }, seed: 1 },
};

const logged: Storage[] = [];
const folder = mkdtempSync(join(tmpdir(), "aerie-resume-"));
const [persist, grown] = [join(folder, "used"), join(folder, "grown")];
const runtime = await Runtime.start({
  persist,
  requestsPerMinute: 1_000_000,
  onLog(line) {
    if (line.startsWith('{"event":"turn"')) logged.push(JSON.parse(line) as Storage);
    else process.stderr.write(`${line}\n`);
  },
});
try {
  await bench();
} finally {
  await runtime.stop();
  rmSync(folder, { recursive: true, force: true });
}

async function bench(): Promise<void> {
  const key = await runtime.key();
  const client = () => new OpenAI({ baseURL: `${runtime.url}/v1`, apiKey: key, maxRetries: 0 });
  const warmUp = (await grow(client(), 4 * WINDOW)).id; // of each new isolate: the first turn compiles what all of them use
  const heads: { length: number; id: string }[] = [];
  for (const length of lengths) {
    const started = performance.now();
    heads.push(await grow(client(), length));
    const seconds = (performance.now() - started) / 1000;
    process.stderr.write(`${heads[heads.length - 1].length} tokens processed in ${seconds.toFixed(1)} s\n`);
  }

  await new Promise((resolve) => setTimeout(resolve, ALARM_MS));
  await runtime.stop();
  cpSync(persist, grown, { recursive: true });

  const samples = heads.map(() => [] as number[]);
  const costs: Cost[] = [];
  for (let round = -1; round < rounds; round++) {
    // Every object and isolate is gone, and the database is what it was: no round pays for those before it.
    await runtime.stop();
    rmSync(persist, { recursive: true, force: true });
    cpSync(grown, persist, { recursive: true });
    await runtime.start();
    const api = client();
    for (let more = 0; more < 3; more++)
      await api.responses.create({ ...turnOf("Hello!"), previous_response_id: warmUp });
    await new Promise((resolve) => setTimeout(resolve, 100)); // their logs
    for (const at of orderOf(heads.length, Math.max(0, round))) {
      const { id, length } = heads[at];
      logged.length = 0;
      const begun = performance.now();
      const response = await api.responses.create({ ...turnOf("And then?"), previous_response_id: id });
      const ms = performance.now() - begun;
      const { rowsRead, rowsWritten, bytesRead, bytesWritten } = await nextLog();
      const { processed_tokens: processedTokens } = response.usage as unknown as { processed_tokens: number };
      const cost = { rowsRead, rowsWritten, bytesRead, bytesWritten, processedTokens };
      costs[at] ??= cost;
      if (!isDeepStrictEqual(cost, costs[at]))
        fail(`behind ${length} tokens, round ${round}: ${JSON.stringify(cost)}, before ${JSON.stringify(costs[at])}`);
      if (round >= 0) samples[at].push(ms);
    }
  }
  await report(
    heads.map(({ length }, at) => {
      const sorted = samples[at].toSorted((a, b) => a - b);
      const latencyMs = { best: sorted[0], median: sorted[Math.floor(sorted.length / 2)] };
      return { length, ...costs[at], latencyMs };
    }),
  );
}

/** Whoever comes first meets the coldest caches: every length does in its turn, and each comes before and behind each other. */
function orderOf(count: number, round: number): number[] {
  const order = Array.from({ length: count }, (_, at) => (at + Math.floor(round / 2)) % count);
  return round % 2 === 0 ? order : order.reverse();
}

function fail(what: string): void {
  process.stderr.write(`WRONG  ${what}\n`);
  process.exitCode = 1;
}

function turnOf(input: string) {
  const { extra, ...rest } = turn;
  return { ...rest, ...extra, input } as const;
}

/** A conversation of about `length` tokens whose last turns are alike and end at the same place in a segment. */
async function grow(api: OpenAI, length: number): Promise<{ length: number; id: string }> {
  let id: string | undefined;
  let position = 0;
  const say = async (words: number) => {
    const response = await api.responses.create({
      ...turnOf(Array(words).fill("and").join(" ")),
      ...(id !== undefined && { previous_response_id: id }),
    });
    id = response.id;
    const before = position;
    position = response.usage?.total_tokens ?? 0;
    return position - before;
  };
  await say(10);
  const turns = { count: 6, tokens: await say(20) }; // the newest log rows and checkpoints belong to turns of one kind
  const frame = turns.tokens - 20; // what a turn has besides its words
  const rest = turns.count * turns.tokens + frame + 1 + WINDOW;
  while (position < length - rest) await say(Math.min(MAX_INPUT_TOKENS, length - rest - position));
  const missing = WINDOW - ((position + frame + turns.count * turns.tokens) % WINDOW);
  await say(missing);
  for (let turn = 0; turn < turns.count; turn++) await say(20);
  if (position % WINDOW !== 0)
    throw new Error(`the conversation ends at ${position}, expected a multiple of ${WINDOW}`);
  return { length: position, id: id as string };
}

async function nextLog(): Promise<Storage> {
  for (let tries = 0; tries < 200; tries++) {
    if (logged.length > 0) return logged[0];
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error("the object logged no turn");
}

async function report(measured: readonly Measured[]): Promise<void> {
  const [first, last] = [measured[0], measured[measured.length - 1]];
  const ratios = {
    rowsRead: last.rowsRead / first.rowsRead,
    rowsWritten: last.rowsWritten / first.rowsWritten,
    bytesRead: last.bytesRead / first.bytesRead,
    bytesWritten: last.bytesWritten / first.bytesWritten,
    processedTokens: last.processedTokens / first.processedTokens,
    latencyBest: last.latencyMs.best / first.latencyMs.best,
    latencyMedian: last.latencyMs.median / first.latencyMs.median,
  };
  const { latencyBest, latencyMedian: _, ...exact } = ratios;
  for (const [name, ratio] of Object.entries(exact))
    if (ratio !== 1) fail(`${name}: the ratio is ${ratio}, expected 1`);
  for (const { length, latencyMs: _, ...cost } of measured) {
    const { length: __, latencyMs: ___, ...expected } = first;
    if (!isDeepStrictEqual(cost, expected))
      fail(`behind ${length} tokens: ${JSON.stringify(cost)}, expected ${JSON.stringify(expected)}`);
  }
  if (!(latencyBest <= MAX_LATENCY_RATIO))
    fail(`the best latencies: the ratio is ${latencyBest}, expected at most ${MAX_LATENCY_RATIO}`);
  const date = new Date().toISOString().slice(0, 10);
  const result = {
    machine: cpus()[0].model,
    cores: cpus().length,
    date,
    model: defaultModel.id,
    rounds,
    measured,
    ratios,
  };
  if (args.out) {
    await mkdir(args.out, { recursive: true });
    await writeFile(`${args.out}/resume.json`, `${JSON.stringify(result, null, 2)}\n`);
    await writeFile(
      `${args.out}/resume.svg`,
      curvePlot({
        title: "Latency of a short turn after eviction",
        x: { label: "tokens in the conversation", values: measured.map(({ length }) => length) },
        y: { label: "ms" },
        series: [
          { name: "best", values: measured.map(({ latencyMs }) => latencyMs.best) },
          { name: "median", values: measured.map(({ latencyMs }) => latencyMs.median) },
        ],
      }),
    );
  }
  if (args.json) return void process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  const cell = (value: number | string, width = 13) => String(value).padStart(width);
  process.stdout.write(`${result.machine}, ${date}, ${defaultModel.id}, a turn after eviction, ${rounds} rounds\n\n`);
  process.stdout.write(
    `${["tokens before", "rows read", "written", "bytes read", "written", "processed", "best ms", "median ms"].map((name) => cell(name)).join("")}\n`,
  );
  for (const m of measured) {
    const { best, median } = m.latencyMs;
    const cells = [
      m.length,
      m.rowsRead,
      m.rowsWritten,
      m.bytesRead,
      m.bytesWritten,
      m.processedTokens,
      best.toFixed(1),
      median.toFixed(1),
    ];
    process.stdout.write(`${cells.map((value) => cell(value)).join("")}\n`);
  }
  process.stdout.write(
    `\nlongest / shortest: ${Object.entries(ratios)
      .map(([name, ratio]) => `${name} ${ratio.toFixed(3)}`)
      .join(", ")}\n`,
  );
}
