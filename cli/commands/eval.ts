/** `aerie eval`: how far one model's predictions are from another's, token by token of a text. */

import { readFile } from "node:fs/promises";
import { text as readAll } from "node:stream/consumers";
import { Command, Option } from "commander";
import { allLogits, createState } from "../../shared/engine.ts";
import { OptionError } from "../../shared/errors.ts";
import { type Comparison, compareLogits } from "../eval/compare-logits.ts";
import {
  backendOption,
  embeddingOption,
  type ModelOptions,
  openModel,
  openTextSide,
  weightsOption,
  withModel,
} from "../model-argument.ts";
import { formatCount, progress } from "../progress.ts";

interface EvalOptions extends ModelOptions {
  readonly against: string;
  readonly text?: string;
  readonly context: number;
  readonly json?: boolean;
}

export const evalCommand = withModel(new Command("eval"))
  .description(
    "Compare a model's predictions with another's on a text: mean KL divergence, top-1 agreement, perplexities.",
  )
  .requiredOption("--against <model>", "the model that is right: a checkpoint is computed exactly, in f32")
  .option("--text <file>", "what both read; control tokens such as <end_of_turn> count (default: standard input)")
  .addOption(
    new Option("--context <n>", "tokens of each stretch; every stretch begins a conversation")
      .default(512)
      .argParser(Number),
  )
  .addOption(weightsOption())
  .addOption(embeddingOption())
  .addOption(backendOption())
  .option("--json", "print one JSON object")
  .action(evaluate);

async function evaluate(path: string, options: EvalOptions): Promise<void> {
  const { context } = options;
  if (!Number.isSafeInteger(context) || context < 2)
    throw new OptionError("context", `--context: expected a whole number from 2, found ${context}`);
  const { tokenizer } = await openTextSide(path);
  const text = options.text === undefined ? await readAll(process.stdin) : await readFile(options.text, "utf8");
  const stretches = cut(tokenizer.encodeTemplate(text), context - 1).map((ids) => tokenizer.withBos(ids));
  const total = stretches.reduce((sum, ids) => sum + ids.length, 0);
  if (total < 2) throw new OptionError("text", "--text: expected at least one token of text, found none");

  const model = await openModel(path, options);
  const right = await openModel(options.against, { backend: options.backend, window: options.window });
  const { vocabSize } = model.config;
  if (right.config.vocabSize !== vocabSize)
    throw new OptionError(
      "against",
      `--against: expected a model with the same vocabulary of ${vocabSize} tokens, found ${right.config.vocabSize}`,
    );

  const bar = progress("comparing", (count) => `${formatCount(count)} tokens`);
  const sum: Comparison = { tokens: 0, kl: 0, agreements: 0, nll: 0, rightNll: 0 };
  let done = 0;
  for (const ids of stretches) {
    const found = await allLogits(model, createState(model), ids);
    const expected = await allLogits(right, createState(right), ids);
    compareLogits(found, expected, ids, vocabSize, sum);
    done += ids.length;
    await bar.update(done, total);
  }
  bar.stop();

  const report = {
    model: path,
    against: options.against,
    tokens: sum.tokens,
    meanKl: sum.kl / sum.tokens,
    top1Agreement: sum.agreements / sum.tokens,
    perplexity: Math.exp(sum.nll / sum.tokens),
    perplexityAgainst: Math.exp(sum.rightNll / sum.tokens),
  };
  process.stdout.write(
    options.json
      ? `${JSON.stringify(report)}\n`
      : `${formatCount(report.tokens)} tokens\nmean KL divergence  ${report.meanKl.toExponential(2)} nats\ntop-1 agreement     ${(100 * report.top1Agreement).toFixed(2)} %\n` +
          `perplexity          ${report.perplexity.toFixed(4)} (${report.perplexityAgainst.toFixed(4)} of the other)\n`,
  );
}

function cut(ids: readonly number[], length: number): number[][] {
  return Array.from({ length: Math.ceil(ids.length / length) }, (_, i) => ids.slice(i * length, (i + 1) * length));
}
