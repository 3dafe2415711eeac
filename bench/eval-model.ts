/**
 * What the default model remembers: held-out dialogues (names, sentences and other talk that no training document holds),
 * asked at growing distance, and questions about what was never told. In every precision, so that the one that is shipped
 * is chosen by measurement. `npm run eval:model`, `--json`, `--check`, `--weights f32,rg8,rg4`, `--dialogues file.jsonl`.
 */

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { openModel, openTextSide } from "../cli/model-argument.ts";
import type { State } from "../shared/backend/backend.ts";
import {
  absorb,
  createState,
  lastLogits,
  type Model,
  restoreState,
  type SavedState,
  saveState,
} from "../shared/engine.ts";
import { generate } from "../shared/generate.ts";
import { parseSampling } from "../shared/sampler/parse-options.ts";
import type { ChatMessage } from "../shared/tokenizer/chat-template.ts";
import type { Tokenizer } from "../shared/tokenizer/tokenizer.ts";
import { curvePlot } from "./curve-plot.ts";

const { values: args } = parseArgs({
  options: {
    model: { type: "string", default: fileURLToPath(new URL("../models/fledgling-2m", import.meta.url)) },
    dialogues: { type: "string" },
    weights: { type: "string", default: "f32,rg8,rg4" },
    out: { type: "string" },
    json: { type: "boolean" },
    check: { type: "boolean" },
  },
});

/** One question (training/examinations.py). */
interface Question {
  readonly messages: readonly ChatMessage[];
  readonly expected: string;
  readonly value: string | null; // null: it was never told
  readonly kind: string;
  readonly distance: number | null; // tokens since the value was last mentioned
}

const SPANS = [
  [0, 64],
  [64, 128],
  [128, 256],
  [256, 512],
  [512, 1024],
  [1024, 2048],
] as const;

/** What the default model should reach. */
const targets = [
  { name: "recall at 512 to 1,023 tokens", least: 0.8, of: (r: Result) => r.recall[4].share },
  { name: "recall at 1,024 to 2,047 tokens", least: 0.6, of: (r: Result) => r.recall[5].share },
  { name: '"I don\'t know" where nothing was told', least: 0.8, of: (r: Result) => r.unknown.share },
  { name: 'no false "I don\'t know"', least: 0.9, of: (r: Result) => 1 - r.falseUnknown.share },
];

interface Share {
  readonly asked: number;
  readonly share: number;
}

interface Result {
  readonly weights: string;
  /** By distance, in the order of SPANS. */
  readonly recall: readonly (Share & { readonly from: number; readonly to: number })[];
  /** Right answers by chance: the most frequent value of a kind. */
  readonly chance: number;
  readonly unknown: Share;
  readonly falseUnknown: Share;
}

const file = args.dialogues ?? join(args.model, "examinations.jsonl");
const questions = (await readFile(file, "utf8"))
  .split("\n")
  .filter((line) => line !== "")
  .map((line) => JSON.parse(line) as Question);

const results: Result[] = [];
for (const weights of args.weights.split(",")) results.push(await evaluate(weights as "f32"));
await report(results);

async function evaluate(weights: "f32" | "f16" | "rg8" | "rg4"): Promise<Result> {
  const model = await openModel(args.model, {
    backend: "wasm",
    window: "deepmind",
    ring: "f16",
    ...(weights !== "f32" && { weights }),
  });
  const { tokenizer, chat } = await openTextSide(args.model);
  if (!chat) throw new Error(`${args.model} has no chat template`);
  const answers: { question: Question; isRight: boolean; isUnknown: boolean }[] = [];
  let before: { ids: readonly number[]; saved: SavedState } | null = null;
  for (const [at, question] of questions.entries()) {
    const ids = chat.openTurns(question.messages);
    // Questions of one dialogue follow each other: the next one goes on where the last one was asked.
    const goesOn: boolean = before?.ids.every((id, place) => id === ids[place]) ?? false;
    const state: State = goesOn && before ? restoreState(model, before.saved) : createState(model);
    const rest = ids.slice(state.position);
    if (rest.length > 1) absorb(model, state, rest.slice(0, -1));
    before = { ids: ids.slice(0, -1), saved: await saveState(model, state) };
    const logits = await lastLogits(model, state, rest.slice(-1));
    const said = await answer(model, tokenizer, state, logits, ids, question.expected.length + 20);
    answers.push({
      question,
      isRight: said.startsWith(question.expected),
      isUnknown: /^I do(n't| not) know/.test(said),
    });
    if (process.stderr.isTTY) process.stderr.write(`\r${weights}: ${at + 1} of ${questions.length}`);
  }
  if (process.stderr.isTTY) process.stderr.write("\n");
  const told = answers.filter(({ question }) => question.distance !== null);
  const never = answers.filter(({ question }) => question.distance === null);
  const share = (of: typeof answers, is: (one: (typeof answers)[number]) => boolean): Share => ({
    asked: of.length,
    share: of.length === 0 ? 0 : of.filter(is).length / of.length,
  });
  return {
    weights,
    recall: SPANS.map(([from, to]) => ({
      from,
      to,
      ...share(
        told.filter(({ question: { distance } }) => distance !== null && distance >= from && distance < to),
        ({ isRight }) => isRight,
      ),
    })),
    chance: chanceLevel(told.map(({ question }) => question)),
    unknown: share(never, ({ isUnknown }) => isUnknown),
    falseUnknown: share(told, ({ isUnknown }) => isUnknown),
  };
}

async function answer(
  model: Model,
  tokenizer: Tokenizer,
  state: State,
  logits: Float32Array,
  ids: readonly number[],
  characters: number,
): Promise<string> {
  let said = "";
  const sampling = parseSampling({ temperature: 0 });
  for await (const { text } of generate(model, tokenizer, state, logits, ids, { sampling, maxTokens: 60 })) {
    said += text;
    if (said.length >= characters) break;
  }
  return said;
}

/** Always saying the most frequent value of each kind. */
function chanceLevel(told: readonly Question[]): number {
  const kinds = new Map<string, Map<string, number>>();
  for (const { kind, value } of told) {
    const counts = kinds.get(kind) ?? new Map<string, number>();
    counts.set(value ?? "", (counts.get(value ?? "") ?? 0) + 1);
    kinds.set(kind, counts);
  }
  const best = [...kinds.values()].reduce((sum, counts) => sum + Math.max(...counts.values()), 0);
  return best / told.length;
}

async function report(found: readonly Result[]): Promise<void> {
  if (args.out) {
    await mkdir(args.out, { recursive: true });
    await writeFile(join(args.out, "recall.json"), `${JSON.stringify(found, null, 2)}\n`);
    const labels = SPANS.map(([, to]) => to);
    const series = found.map(({ weights, recall }) => ({
      name: weights,
      values: recall.map((span) => 100 * span.share),
    }));
    await writeFile(
      join(args.out, "recall.svg"),
      curvePlot({
        title: "Facts recalled, by tokens since they were told",
        x: { label: "at most so many tokens ago", values: labels },
        y: { label: "% right", max: 100 },
        series: [...series, { name: "chance", values: labels.map(() => 100 * found[0].chance) }],
      }),
    );
  }
  if (args.json) process.stdout.write(`${JSON.stringify(found, null, 2)}\n`);
  else {
    const percent = (share: number) => `${(100 * share).toFixed(0)} %`.padStart(7);
    process.stdout.write(`${questions.length} questions; recall by tokens since the fact was told\n\n`);
    process.stdout.write(
      `        ${SPANS.map(([from, to]) => `${from}–${to - 1}`.padStart(10)).join("")}   chance   knows not   false "don't know"\n`,
    );
    for (const { weights, recall, chance, unknown, falseUnknown } of found)
      process.stdout.write(
        `${weights.padEnd(8)}${recall.map(({ share }) => percent(share).padStart(10)).join("")}  ${percent(chance)}     ${percent(unknown.share)}              ${percent(falseUnknown.share)}\n`,
      );
  }
  if (!args.check) return;
  for (const result of found)
    for (const { name, least, of } of targets)
      if (of(result) < least) {
        process.stderr.write(`${result.weights}: ${name} is ${of(result).toFixed(2)}, the target is ${least}\n`);
        process.exitCode = 1;
      }
}
