/** The trained model: the trainer's own logits, and replies varied enough that equality of text means something. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { openModel, openTextSide } from "../../cli/model-argument.ts";
import { allLogits, createState, type Model, prefill } from "../../shared/engine.ts";
import { generate } from "../../shared/generate.ts";
import type { TextSide } from "../../shared/load-text-side.ts";
import { parseSampling } from "../../shared/sampler/parse-options.ts";
import { gpu } from "../backends.ts";

const folder = fileURLToPath(new URL("../../models/fledgling-2m", import.meta.url));
const prompts = [
  "Hello!",
  "Tell me a story about a fox.",
  "What can you do?",
  "Tell me a story about a brave girl and a kite.",
  "Please tell me a story.",
];
const greedy = parseSampling({ temperature: 0 });

interface TrainerLogits {
  readonly sequences: { readonly tokens: number[]; readonly positions: number[]; readonly logits: number[][] }[];
}

const backends = ["reference", "wasm", ...(gpu ? ["webgpu" as const] : [])] as const;

describe.each(backends)("fledgling-2m on %s", (backend) => {
  let model: Model;
  let text: TextSide;
  beforeAll(async () => {
    model = await openModel(folder, { backend, window: "deepmind" });
    text = await openTextSide(folder);
  });

  test("Aerie's logits are the trainer's", async () => {
    const { sequences } = JSON.parse(readFileSync(`${folder}/trainer-logits.json`, "utf8")) as TrainerLogits;
    const { vocabSize, windowSize } = model.config;
    expect(Math.max(...sequences.map(({ tokens }) => tokens.length))).toBeGreaterThan(2 * windowSize);
    for (const { tokens, positions, logits } of sequences) {
      const found = await allLogits(model, createState(model), tokens);
      for (const [at, position] of positions.entries()) {
        const row = found.subarray(position * vocabSize, (position + 1) * vocabSize);
        expect(logits[at]).toHaveLength(vocabSize);
        expect(Math.max(...logits[at].map((logit, v) => Math.abs(logit - row[v])))).toBeLessThanOrEqual(1e-4);
      }
    }
  });

  test("prompts get different replies of at least 20 different tokens each", async () => {
    const replies = new Set<string>();
    // A software adapter takes its time.
    const asked = backend === "webgpu" ? prompts.slice(1, 2) : prompts;
    for (const content of asked) {
      const prompt = text.chat!.openTurns([{ role: "user", content }]);
      const ids = await reply(prompt, 64);
      expect(new Set(ids).size, content).toBeGreaterThanOrEqual(20);
      replies.add(ids.join());
    }
    expect(replies.size).toBe(asked.length);
  });

  async function reply(prompt: number[], maxTokens: number): Promise<number[]> {
    const state = createState(model);
    const logits = await prefill(model, state, prompt);
    const tokens = generate(model, text.tokenizer, state, logits, prompt, { sampling: greedy, maxTokens, eosIds: [] });
    for (;;) {
      const next = await tokens.next();
      if (next.done) return next.value.ids;
    }
  }
});
