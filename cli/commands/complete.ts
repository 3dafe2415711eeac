/** `aerie complete`: goes on with a text. */

import { text as readAll } from "node:stream/consumers";
import { Command } from "commander";
import { createState, prefill } from "../../shared/engine.ts";
import { generate } from "../../shared/generate.ts";
import { type GenerationOptions, generateOptions, withGeneration } from "../generation-options.ts";
import { backendOption, type ModelOptions, openModel, openTextSide, withModel } from "../model-argument.ts";
import { formatCount, progress } from "../progress.ts";

interface CompleteOptions extends ModelOptions, GenerationOptions {
  readonly json?: boolean;
}

export const completeCommand = withGeneration(withModel(new Command("complete")))
  .description("Go on with a text, printing it as it comes.")
  .argument("[text]", "what to go on with; without it, standard input is read")
  .addOption(backendOption())
  .option("--json", "print one JSON object at the end instead: text, ids, finish reason, seed, usage")
  .action(complete);

async function complete(path: string, text: string | undefined, options: CompleteOptions): Promise<void> {
  const generation = generateOptions(options);
  const { tokenizer } = await openTextSide(path);
  const model = await openModel(path, options);
  const prompt = tokenizer.encodeStart(text ?? (await readAll(process.stdin)));
  const state = createState(model);

  const bar = progress("prefill", (count) => `${formatCount(count)} tokens`);
  const logits = await prefill(model, state, prompt, { onProgress: bar.update });
  bar.stop();

  let said = "";
  const show = (part: string) => {
    said += part;
    if (!options.json) process.stdout.write(part);
  };
  if (!options.json && text !== undefined) process.stdout.write(text);
  const tokens = generate(model, tokenizer, state, logits, prompt, generation);
  for (;;) {
    const next = await tokens.next();
    if (next.done) {
      const { rest, ids, finishReason, stopString } = next.value;
      show(rest);
      if (!options.json) process.stdout.write("\n");
      else
        process.stdout.write(
          `${JSON.stringify({
            text: said,
            ids,
            finishReason,
            stopString,
            seed: String(generation.sampling.seed),
            usage: { promptTokens: prompt.length, completionTokens: ids.length },
          })}\n`,
        );
      return;
    }
    show(next.value.text);
    await new Promise(setImmediate); // let the text out before the next token is computed
  }
}
