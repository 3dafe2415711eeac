/**
 * How good is the default model? What it remembers and knows that it was not told, how well it predicts text that it has
 * not seen, what it says. In every precision, so that the one that is shipped is chosen by measurement.
 *
 * `npm run eval:model -- [--weights f32,rg8,rg4] [--json] [--check] [--out folder]`: --check fails below the targets,
 * --out writes the report, and the recall curve as JSON and SVG. `--scan 500` instead searches so many replies of the
 * first of the precisions for what should not be said, and prints them; --out then writes how many there were.
 */

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { openModel, openTextSide } from "../cli/model-argument.ts";
import { progress } from "../cli/progress.ts";
import type { Model } from "../shared/engine.ts";
import { curvePlot } from "./curve-plot.ts";
import { type HeldOutDocument, heldOutLoss, type SourceLoss } from "./model-eval/held-out-loss.ts";
import { type Dialogue, type Recall, recall, SPANS } from "./model-eval/recall.ts";
import { type Samples, samples } from "./model-eval/samples.ts";
import { scan, TEMPERATURE } from "./model-eval/scan.ts";

const { values: args } = parseArgs({
  options: {
    model: { type: "string", default: fileURLToPath(new URL("../models/fledgling-4m", import.meta.url)) },
    weights: { type: "string", default: "f32,rg8,rg4" },
    out: { type: "string" },
    json: { type: "boolean" },
    check: { type: "boolean" },
    scan: { type: "string" },
  },
});

interface Result {
  readonly weights: string;
  readonly recall: Recall;
  readonly loss: readonly SourceLoss[];
  readonly samples: Samples;
}

/** What the default model should reach. */
const targets: readonly { name: string; least: number; of: (result: Result) => number }[] = [
  { name: "recall at 512 to 1,023 tokens", least: 0.8, of: ({ recall }) => recall.spans[4].share },
  { name: "recall at 1,024 to 2,047 tokens", least: 0.6, of: ({ recall }) => recall.spans[5].share },
  { name: '"I don\'t know" where nothing was told', least: 0.8, of: ({ recall }) => recall.unknown.share },
  { name: 'no false "I don\'t know"', least: 0.9, of: ({ recall }) => 1 - recall.falseUnknown.share },
];

const texts = join(args.model, "held-out");
const dialogues = await readLines<Dialogue>(join(texts, "dialogues.jsonl"));
const documents = await readLines<HeldOutDocument>(join(texts, "documents.jsonl"));

if (args.scan !== undefined) {
  await search(Number(args.scan));
  process.exit();
}
const results: Result[] = [];
for (const weights of args.weights.split(",")) results.push(await evaluate(weights));
if (args.out) {
  await writeCurve(args.out);
  await writeFile(join(args.out, "report.md"), report());
}
process.stdout.write(args.json ? `${JSON.stringify(results, null, 2)}\n` : report());
if (args.check) check();

async function readLines<Line>(path: string): Promise<Line[]> {
  const lines = (await readFile(path, "utf8")).split("\n").filter((line) => line !== "");
  return lines.map((line) => JSON.parse(line) as Line);
}

async function search(count: number): Promise<void> {
  if (!Number.isSafeInteger(count) || count < 1)
    throw new Error(`--scan: expected a whole number from 1, found ${args.scan}`);
  const [weights] = args.weights.split(",");
  const bar = progress("scanning", (done) => `${done} replies`);
  const { replies, unwanted, rareWords } = await scan(
    await open(weights),
    await openTextSide(args.model),
    count,
    bar.update,
  );
  bar.stop();
  for (const reply of replies) process.stdout.write(`${reply}\n---\n`);
  process.stdout.write(`words of a single reply: ${rareWords.join(" ")}\n\n`);
  process.stdout.write(`${replies.length} replies, ${weights}, ${unwanted.length} of them with something unwanted\n`);
  for (const reply of unwanted) process.stdout.write(`! ${reply}\n`);
  if (!args.out) return;
  await mkdir(args.out, { recursive: true });
  const found = { weights, temperature: TEMPERATURE, replies: replies.length, unwanted: unwanted.length };
  await writeFile(join(args.out, "scan.json"), `${JSON.stringify(found, null, 2)}\n`);
}

async function open(weights: string): Promise<Model> {
  if (weights !== "f32" && weights !== "rg8" && weights !== "rg4")
    throw new Error(`--weights: expected f32, rg8 or rg4, found ${weights}`);
  return openModel(args.model, {
    backend: "wasm",
    window: "deepmind",
    ring: weights === "f32" ? "f32" : "f16", // f32: what was trained; the others: as it is served
    ...(weights !== "f32" && { weights }),
  });
}

async function evaluate(weights: string): Promise<Result> {
  const model = await open(weights);
  const text = await openTextSide(args.model);
  const bar = progress(weights, (count) => `${count} dialogues`);
  const remembered = await recall(model, text, dialogues, bar.update);
  bar.stop();
  return {
    weights,
    recall: remembered,
    loss: await heldOutLoss(model, weights === "f32" ? model : await open("f32"), text.tokenizer, documents),
    samples: await samples(model, text),
  };
}

async function writeCurve(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const curves = results.map(({ weights, recall }) => ({ weights, ...recall }));
  await writeFile(join(folder, "recall.json"), `${JSON.stringify(curves, null, 2)}\n`);
  const percents = (of: (span: Recall["spans"][number]) => number, { recall }: Result) =>
    recall.spans.map((span) => 100 * of(span));
  const svg = curvePlot({
    title: "Facts recalled, by tokens since they were told",
    x: { label: "at most so many tokens ago", values: SPANS.map(([, to]) => to) },
    y: { label: "% right", max: 100 },
    series: [
      ...results.map((result) => ({ name: result.weights, values: percents(({ share }) => share, result) })),
      { name: "chance", values: percents(({ chance }) => chance, results[0]) },
    ],
  });
  await writeFile(join(folder, "recall.svg"), svg);
}

function report(): string {
  const percent = (share: number) => `${(100 * share).toFixed(0)} %`;
  const row = (...cells: string[]) => `| ${cells.join(" | ")} |\n`;
  const table = (...head: string[]) => row(...head) + row(...head.map(() => "---"));
  const asked = results[0].recall.spans.reduce((sum, span) => sum + span.asked, 0);

  let out = `${asked} facts asked for in ${dialogues.length} dialogues, ${results[0].recall.names} different names; right answers by tokens since the fact was told\n\n`;
  out += table(
    "weights",
    ...SPANS.map(([from, to]) => `${from}–${to - 1}`),
    "never told: “I don't know”",
    "told: “I don't know”",
  );
  for (const { weights, recall } of results)
    out += row(
      weights,
      ...recall.spans.map(({ share }) => percent(share)),
      percent(recall.unknown.share),
      percent(recall.falseUnknown.share),
    );
  out += row("chance", ...results[0].recall.spans.map(({ chance }) => percent(chance)), "", "");
  out += row(
    "asked",
    ...results[0].recall.spans.map(({ asked }) => `${asked}`),
    `${results[0].recall.unknown.asked}`,
    `${results[0].recall.falseUnknown.asked}`,
  );

  out += `\nWhat it should reach, and what it does\n\n${table("", "at least", ...results.map(({ weights }) => weights))}`;
  for (const { name, least, of } of targets)
    out += row(
      name,
      percent(least),
      ...results.map((result) => `${(100 * of(result)).toFixed(1)} %${of(result) < least ? " **missed**" : ""}`),
    );

  const kinds = Object.keys(results[0].recall.kinds);
  out += `\nRight at 512 tokens and more, by kind of fact\n\n${table("weights", ...kinds)}`;
  for (const { weights, recall } of results)
    out += row(weights, ...kinds.map((kind) => percent(recall.kinds[kind].share)));

  out += `\nText that was not seen in training\n\n${table("source", "tokens", "bytes", ...results.map(({ weights }) => `${weights}: nats a token, bits a byte`))}`;
  for (const [at, { source, tokens, bytes }] of results[0].loss.entries())
    out += row(
      source,
      `${tokens}`,
      `${bytes}`,
      ...results.map(({ loss }) => `${loss[at].nll.toFixed(3)}, ${loss[at].bitsPerByte.toFixed(3)}`),
    );

  const packed = results.filter(({ weights }) => weights !== "f32");
  out += `\nWhat packing changes there: mean KL divergence from f32 in nats, places with the same most likely token\n\n${table("source", ...packed.map(({ weights }) => weights))}`;
  for (const [at, { source }] of results[0].loss.entries())
    out += row(
      source,
      ...packed.map(({ loss }) => `${loss[at].kl.toExponential(1)}, ${(100 * loss[at].agreement).toFixed(1)} %`),
    );

  out += `\nReplies to ${results[0].samples.replies.length} prompts\n\n${table("weights", "words", "distinct 1", "distinct 2", "distinct 3", "repeated fours")}`;
  for (const { weights, samples } of results)
    out += row(weights, `${samples.words}`, ...samples.distinct.map(percent), percent(samples.repetition));

  out += `\nSamples, ${results[0].weights}, temperature 0.7, top-p 0.95, seeds from 0\n`;
  for (const { messages, reply } of results[0].samples.replies)
    out += `\n${messages.map(({ role, content }) => `${role}: ${content}`).join("\n")}\n> ${reply.replaceAll("\n", "\n> ")}\n`;
  return out;
}

function check(): void {
  for (const result of results)
    for (const { name, least, of } of targets)
      if (of(result) < least) {
        process.stderr.write(`${result.weights}: ${name} is ${of(result).toFixed(3)}, the target is ${least}\n`);
        process.exitCode = 1;
      }
}
