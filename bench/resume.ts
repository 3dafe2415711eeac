/**
 * What it costs to come back: conversations of 1 k to 1 M tokens, really processed, then one short turn after everything was
 * evicted. Rows, bytes and tokens must be the same for all of them. `npm run bench:resume`, `--json`, `--lengths 1000,10000`.
 */

import { mkdir, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import OpenAI from "openai";
import { openTextSide } from "../cli/model-argument.ts";
import { Runtime } from "../test/e2e/runtime.ts";
import { curvePlot } from "./curve-plot.ts";

const { values: args } = parseArgs({
  options: {
    lengths: { type: "string", default: "1000,10000,100000,1000000" },
    rounds: { type: "string", default: "20" },
    json: { type: "boolean" },
    out: { type: "string" },
  },
});
const lengths = args.lengths.split(",").map(Number);
const rounds = Number(args.rounds);

const MODEL = "fledgling-2m";
const WINDOW = 64; // segments end at multiples of it: turns are compared that begin at the same place in one
const MAX_INPUT_TOKENS = 60_000; // of one turn: its JSON stays below the limit of a body

/** What the object logs behind each turn. */
interface Storage {
  readonly rowsRead: number;
  readonly rowsWritten: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

interface Measured extends Storage {
  readonly length: number; // tokens before the turn
  readonly processedTokens: number;
  readonly latencyMs: { readonly best: number; readonly median: number };
}

// One token, always the same: the same work every time, and texts of equal length.
const { tokenizer } = await openTextSide(fileURLToPath(new URL(`../models/${MODEL}`, import.meta.url)));
const word = tokenizer.encode("and and")[1];
const turn = { model: MODEL, temperature: 0, max_output_tokens: 1, extra: { logit_bias: { [word]: 100 }, seed: 1 } };

const logged: Storage[] = [];
const runtime = await Runtime.start({
  onLog(line) {
    if (line.startsWith('{"event":"turn"')) logged.push(JSON.parse(line) as Storage);
    else process.stderr.write(`${line}\n`);
  },
});
try {
  await bench();
} finally {
  await runtime.stop();
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

  const samples = heads.map(() => [] as number[]);
  const storage: Storage[] = [];
  const processed: number[] = [];
  for (let round = -1; round < rounds; round++) {
    await runtime.restart(); // every object and isolate is gone
    const api = client();
    for (let more = 0; more < 3; more++)
      await api.responses.create({ ...turnOf("Hello!"), previous_response_id: warmUp });
    await new Promise((resolve) => setTimeout(resolve, 100)); // their logs
    // Whoever comes first meets the coldest caches: every length does in its turn.
    const order = heads.map((_, at) => (at + Math.max(0, round)) % heads.length);
    for (const at of order) {
      const { id } = heads[at];
      logged.length = 0;
      const begun = performance.now();
      const response = await api.responses.create({ ...turnOf("And then?"), previous_response_id: id });
      const ms = performance.now() - begun;
      if (round < 0) continue;
      samples[at].push(ms);
      storage[at] = await nextLog();
      processed[at] = (response.usage as unknown as { processed_tokens: number }).processed_tokens;
    }
  }
  await report(
    heads.map(({ length }, at) => {
      const { rowsRead, rowsWritten, bytesRead, bytesWritten } = storage[at];
      const sorted = samples[at].toSorted((a, b) => a - b);
      const latencyMs = { best: sorted[0], median: sorted[Math.floor(sorted.length / 2)] };
      return { length, rowsRead, rowsWritten, bytesRead, bytesWritten, processedTokens: processed[at], latencyMs };
    }),
  );
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
  const result = { machine: cpus()[0].model, model: MODEL, rounds, measured, ratios };
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
  process.stdout.write(`${result.machine}, ${MODEL}, a turn after eviction, ${rounds} rounds\n\n`);
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
