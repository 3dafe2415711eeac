/**
 * What HTTP, the Durable Object, its log and SSE cost on top of the engine: the same tokens through a real workerd and
 * through the engine alone in this process, in turns. `npm run bench:edge`, `--json` for programs.
 */

import { copyFile, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { interleave, rate, type Sampled } from "../cli/bench/measure.ts";
import { packModel } from "../cli/commands/convert.ts";
import { openModel, openTextSide } from "../cli/model-argument.ts";
import type { State } from "../shared/backend/backend.ts";
import { createState, prefill, restoreState, type SavedState, saveState } from "../shared/engine.ts";
import { generate } from "../shared/generate.ts";
import type { ModelConfig } from "../shared/model/config.ts";
import { griffinPattern, recurrentGemma2B } from "../shared/model/presets.ts";
import { parseSampling } from "../shared/sampler/parse-options.ts";
import { Runtime } from "../test/e2e/runtime.ts";
import { makeCheckpoint } from "./make-checkpoint.ts";

const { values: args } = parseArgs({
  options: {
    rounds: { type: "string", default: "20" },
    tokens: { type: "string", default: "256" },
    json: { type: "boolean" },
  },
});
const rounds = Number(args.rounds);
const tokens = Number(args.tokens);

const id = "random-30m";
const fledgling = fileURLToPath(new URL("../models/fledgling-4m", import.meta.url)); // for its tokenizer

/** 30 million parameters. */
const config: ModelConfig = {
  ...recurrentGemma2B,
  vocabSize: JSON.parse(await readFile(join(fledgling, "config.json"), "utf8")).vocab_size,
  width: 512,
  mlpWidth: 1536,
  mixers: griffinPattern(9),
  heads: 4,
  headDim: 128,
  lruWidth: 512,
  gateBlocks: 4,
  windowSize: 256,
  windowKeys: 257,
};
// Greedy, and never ended by the end token: the same work every time.
const sampling = parseSampling({ temperature: 0, logitBias: { 1: -100 } });
const request = { model: id, temperature: 0, logit_bias: { 1: -100 }, stream: true };
const prompt = "Tell me a story about an owl and a river.";
const followUp = "And then?"; // about ten tokens with the turn's frame

const folder = await mkdtemp(join(tmpdir(), "aerie-bench-"));

try {
  await bench();
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function bench(): Promise<void> {
  const checkpoint = join(folder, "checkpoint");
  const bundle = join(folder, "bundle");
  await makeCheckpoint(config, checkpoint);
  for (const file of ["tokenizer.json", "tokenizer_config.json"])
    await copyFile(join(fledgling, file), join(checkpoint, file));
  await packModel(checkpoint, { out: bundle, weights: "rg8", ring: "f16", window: "deepmind" });

  const runtime = await Runtime.start({
    vars: { AERIE_MODELS: JSON.stringify([{ id, source: "r2", path: id }]) },
  });
  try {
    for (const file of await readdir(bundle))
      await runtime.putModelFile(`${id}/${file}`, await readFile(join(bundle, file)));
    const arms = await createArms(runtime, bundle);
    const progress = process.stderr.isTTY
      ? (done: number, total: number) => process.stderr.write(`\r${done} of ${total} samples`)
      : undefined;
    report(await interleave(arms.list, rounds, progress), arms.firstText);
  } finally {
    await runtime.stop();
  }
}

async function createArms(runtime: Runtime, bundle: string) {
  const model = await openModel(bundle, { backend: "wasm", window: "deepmind" });
  const { tokenizer, chat } = await openTextSide(bundle);
  if (!chat) throw new Error("the bundle has no chat template");
  const key = await runtime.key();
  const firstText = { edge: [] as number[], engine: [] as number[] };

  const opening = chat.openTurns([{ role: "user", content: prompt }]);
  async function decode(state: State, ids: readonly number[], count: number): Promise<number[]> {
    const logits = await prefill(model, state, ids);
    const said: number[] = [];
    for await (const { token } of generate(model, tokenizer, state, logits, ids, { sampling, maxTokens: count }))
      said.push(token);
    return said;
  }
  const state = createState(model);
  const reply = await decode(state, opening, 8);
  await prefill(model, state, reply.slice(-1));
  const parent: SavedState = await saveState(model, state);
  const next = chat.followUp({
    messages: [{ role: "user", content: prompt }],
    replyIds: reply,
    next: [{ role: "user", content: followUp }],
  });
  if (!next) throw new Error("the template rewrites history");

  async function post(body: object): Promise<{ id: string; text: number }> {
    const start = performance.now();
    const response = await fetch(`${runtime.url}/v1/responses`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify({ ...request, ...body }),
    });
    if (!response.ok || !response.body) throw new Error(`${response.status} ${await response.text()}`);
    let text = "";
    let first = 0;
    const decoder = new TextDecoder();
    for await (const bytes of response.body) {
      text += decoder.decode(bytes, { stream: true });
      if (first === 0 && text.includes("event: response.output_text.delta")) first = (performance.now() - start) / 1000;
    }
    if (first === 0) throw new Error(`no text came: ${text.slice(-500)}`);
    return { id: /"id":"(resp_[^"]+)"/.exec(text)?.[1] ?? "", text: first };
  }
  const parentId = (await post({ input: prompt, max_output_tokens: 8 })).id;

  return {
    firstText,
    list: [
      { name: "edge decode", run: async () => void (await post({ input: prompt, max_output_tokens: tokens })) },
      { name: "engine decode", run: async () => void (await decode(createState(model), opening, tokens)) },
      {
        name: "edge resume",
        run: async () => {
          const { text } = await post({ input: followUp, previous_response_id: parentId, max_output_tokens: 1 });
          firstText.edge.push(text);
        },
      },
      {
        name: "engine prefill",
        run: async () => {
          const start = performance.now();
          await prefill(model, restoreState(model, parent), next);
          firstText.engine.push((performance.now() - start) / 1000);
        },
      },
    ],
  };
}

function report(samples: readonly Sampled[], firstText: { edge: number[]; engine: number[] }): void {
  const seconds = Object.fromEntries(samples.map(({ name, seconds }) => [name, seconds]));
  const edge = rate(tokens, seconds["edge decode"]);
  const engine = rate(tokens, seconds["engine decode"]);
  const milliseconds = (times: readonly number[]) => {
    const sorted = [...times].sort((a, b) => a - b);
    return { best: 1000 * sorted[0], median: 1000 * sorted[Math.floor(sorted.length / 2)] };
  };
  const result = {
    machine: cpus()[0].model,
    cores: cpus().length,
    loadAverage: loadavg()[1], // of the last 5 minutes; the bench itself is 1 of it
    rounds,
    tokens,
    tokensPerSecond: { edge, engine, ratio: { best: edge.best / engine.best, median: edge.median / engine.median } },
    firstTextOfResumedTurnMs: { edge: milliseconds(firstText.edge), enginePrefill: milliseconds(firstText.engine) },
  };
  if (args.json) return void process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
  const { ratio } = result.tokensPerSecond;
  const { edge: e, enginePrefill: p } = result.firstTextOfResumedTurnMs;
  process.stdout.write(
    `\n${result.machine}, ${rounds} rounds, 29 M parameters in rg8, ${tokens} tokens a reply\n\n` +
      `                                   best      median\n` +
      `tokens/s   HTTP + object + SSE ${edge.best.toFixed(0).padStart(8)} ${edge.median.toFixed(0).padStart(11)}\n` +
      `           engine alone        ${engine.best.toFixed(0).padStart(8)} ${engine.median.toFixed(0).padStart(11)}\n` +
      `           ratio               ${ratio.best.toFixed(2).padStart(8)} ${ratio.median.toFixed(2).padStart(11)}\n` +
      `first text of a resumed turn\n` +
      `           HTTP + object + SSE ${e.best.toFixed(1).padStart(5)} ms ${e.median.toFixed(1).padStart(8)} ms\n` +
      `           engine's prefill    ${p.best.toFixed(1).padStart(5)} ms ${p.median.toFixed(1).padStart(8)} ms\n`,
  );
}
