/** `aerie logits`: the numbers themselves, for comparing with another engine. */

import { once } from "node:events";
import { Command, InvalidArgumentError } from "commander";
import { allLogits, createState } from "../../shared/engine.ts";
import { OptionError } from "../../shared/errors.ts";
import { backendOption, type ModelOptions, openModel, withModel } from "../model-argument.ts";
import { formatCount, progress } from "../progress.ts";

interface LogitsOptions extends ModelOptions {
  readonly tokens: number[];
  readonly chunk?: number;
  readonly steps: number;
}

export const logitsCommand = withModel(new Command("logits"))
  .description('Print the logits after every token as {"logits": [[…] per position]}, in full f32 precision.')
  .requiredOption("--tokens <ids>", "token ids, separated by commas", parseIds)
  .option("--chunk <n>", "prefill in chunks of n tokens (default: all at once)", parseCount(1))
  .option("--steps <n>", "feed the last n tokens one by one", parseCount(0), 0)
  .addOption(backendOption())
  .option("--json", "accepted for uniformity: the output is JSON in any case")
  .action(printLogits);

async function printLogits(path: string, options: LogitsOptions): Promise<void> {
  const { tokens, steps } = options;
  if (steps > tokens.length)
    throw new OptionError("steps", `--steps: expected at most the ${tokens.length} tokens given, found ${steps}`);
  const model = await openModel(path, options);
  const { vocabSize } = model.config;
  const state = createState(model);
  const bar = progress("computing", (count) => `${formatCount(count)} tokens`);
  let separator = '{"logits":[';
  for (const chunk of chunkLengths(tokens.length, options.chunk, steps)) {
    const logits = await allLogits(model, state, tokens.slice(state.position, state.position + chunk));
    for (let t = 0; t < chunk; t++) {
      await write(`${separator}${JSON.stringify(Array.from(logits.subarray(t * vocabSize, (t + 1) * vocabSize)))}`);
      separator = ",\n";
    }
    await bar.update(state.position, tokens.length);
  }
  bar.stop();
  await write("]}\n");
}

/** The prompt in chunks, then one token at a time. */
function chunkLengths(total: number, chunk: number | undefined, steps: number): number[] {
  const prompt = total - steps;
  const size = chunk ?? Math.max(prompt, 1);
  const chunks = Array.from({ length: Math.ceil(prompt / size) }, (_, i) => Math.min(size, prompt - i * size));
  return [...chunks, ...Array<number>(steps).fill(1)];
}

async function write(text: string): Promise<void> {
  if (!process.stdout.write(text)) await once(process.stdout, "drain");
}

function parseIds(text: string): number[] {
  const ids = text.split(",").map((part) => part.trim());
  const wrong = ids.find((id) => !/^\d+$/.test(id));
  if (wrong !== undefined)
    throw new InvalidArgumentError(
      `expected token ids separated by commas, such as 2,5,17, found ${JSON.stringify(wrong)}`,
    );
  return ids.map(Number);
}

function parseCount(least: number): (text: string) => number {
  return (text) => {
    const count = Number(text);
    if (text.trim() === "" || !Number.isSafeInteger(count) || count < least)
      throw new InvalidArgumentError(`expected a whole number from ${least}, found ${JSON.stringify(text)}`);
    return count;
  };
}
