/** Generation from end to end on the trained model: seeds, ends, stop strings, and text that never holds half a character. */

import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { openModel, openTextSide } from "../../cli/model-argument.ts";
import { createState, type Model, prefill, restoreState, saveState } from "../../shared/engine.ts";
import { type GenerateOptions, type GenerateResult, generate } from "../../shared/generate.ts";
import type { TextSide } from "../../shared/load-text-side.ts";
import { OutputText } from "../../shared/output-text.ts";
import { parseSampling } from "../../shared/sampler/parse-options.ts";

const folder = fileURLToPath(new URL("../../models/fledgling-4m", import.meta.url));
const sampled = parseSampling({ temperature: 1, seed: 11 });

let model: Model;
let text: TextSide;
beforeAll(async () => {
  model = await openModel(folder, { backend: "wasm", window: "deepmind" });
  text = await openTextSide(folder);
});

async function run(
  options: Partial<GenerateOptions> = {},
): Promise<GenerateResult & { text: string; position: number }> {
  const prompt = text.tokenizer.encodeStart("Once upon a time");
  const state = createState(model);
  const logits = await prefill(model, state, prompt);
  const tokens = generate(model, text.tokenizer, state, logits, prompt, {
    sampling: sampled,
    maxTokens: 40,
    ...options,
  });
  let shown = "";
  for (;;) {
    const next = await tokens.next();
    if (next.done) return { ...next.value, text: shown + next.value.rest, position: state.position - prompt.length };
    shown += next.value.text;
  }
}

describe("generate", () => {
  test("the same seed gives the same text, another seed another", async () => {
    const first = await run();
    expect(await run()).toStrictEqual(first);
    expect((await run({ sampling: { ...sampled, seed: 12n } })).text).not.toBe(first.text);
  });

  test("the text is that of the ids, and every id but the last has been consumed", async () => {
    const { text: shown, ids, position, finishReason } = await run();
    expect(shown).toBe(text.tokenizer.decode(ids));
    expect(ids).toHaveLength(40);
    expect(finishReason).toBe("length");
    expect(position).toBe(39);
  });

  test("a stop string ends the text before it, wherever it lies in the tokens", async () => {
    const { text: whole } = await run();
    const [from, length] = [Math.floor(whole.length / 2), 7];
    const stop = whole.slice(from, from + length);
    const stopped = await run({ stop: ["nowhere in it", stop] });
    expect(stopped).toMatchObject({
      text: whole.slice(0, whole.indexOf(stop)),
      finishReason: "stop",
      stopString: stop,
    });
  });

  test("an end token ends the text and shows nothing", async () => {
    const { ids } = await run();
    const ended = await run({ eosIds: [ids[5]] });
    const at = ids.indexOf(ids[5]);
    expect(ended).toMatchObject({
      ids: ids.slice(0, at + 1),
      finishReason: "stop",
      text: text.tokenizer.decode(ids.slice(0, at)),
    });
  });

  test("interrupted, saved, restored and gone on with: the same tokens", async () => {
    const whole = await run();
    const prompt = text.tokenizer.encodeStart("Once upon a time");
    const state = createState(model);
    const logits = await prefill(model, state, prompt);
    const log: number[] = [];
    const options = { sampling: sampled, maxTokens: 40 };
    for await (const { token } of generate(model, text.tokenizer, state, logits, prompt, options)) {
      log.push(token);
      if (log.length === 17) break;
    }
    // Of the log, the last token has not been consumed yet.
    const restored = restoreState(model, await saveState(model, state));
    expect(restored.position).toBe(prompt.length + 16);
    const next = await prefill(model, restored, log.slice(-1));
    const output = new OutputText(text.tokenizer, { stop: [], eosIds: model.config.eosIds });
    for (const id of log) output.push(id);
    const rest = generate(model, text.tokenizer, restored, next, [...prompt, ...log], { ...options, output });
    for await (const { token } of rest) log.push(token);
    expect(log).toStrictEqual(whole.ids);
  });

  test("maxTokens must be a count", async () => {
    await expect(run({ maxTokens: 0 })).rejects.toThrow("maxTokens: expected a whole number from 1, found 0");
  });
});
