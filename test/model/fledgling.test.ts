/** The trained model: the trainer's own logits, the same text from every backend, and replies that are worth equality. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { loadKernels } from "../../cli/kernels.ts";
import { openTextSide, withFolder } from "../../cli/model-argument.ts";
import type { WeightDType } from "../../shared/backend/packed.ts";
import { referenceBackend } from "../../shared/backend/reference/index.ts";
import { wasmPacker } from "../../shared/backend/wasm/packer.ts";
import { matrixDTypes } from "../../shared/checkpoint/matrix-dtypes.ts";
import { allLogits, createState, type Model, prefill } from "../../shared/engine.ts";
import { generate } from "../../shared/generate.ts";
import { loadModel } from "../../shared/load-model.ts";
import type { TextSide } from "../../shared/load-text-side.ts";
import { parseSampling } from "../../shared/sampler/parse-options.ts";
import type { ChatMessage } from "../../shared/tokenizer/chat-template.ts";
import { type BackendUnderTest, backends } from "../backends.ts";

const folder = fileURLToPath(new URL("../../models/fledgling-4m", import.meta.url));
const greedy = parseSampling({ temperature: 0 });
const NEW_TOKENS = 64;

const PROMPTS = [
  "Hello!",
  "Tell me a story about a fox.",
  "What can you do?",
  "Tell me a story about a brave girl and a kite.",
  "My name is Mira. What is my name?",
];

interface TrainerLogits {
  readonly sequences: { readonly tokens: number[]; readonly positions: number[]; readonly logits: number[][] }[];
}

function open(create: BackendUnderTest["create"], dtype: WeightDType = "f32"): Promise<Model> {
  return withFolder(folder, (files) =>
    loadModel(files, (needs) => create(needs), {
      window: "deepmind",
      ...(dtype !== "f32" && { dtypes: matrixDTypes(dtype), packer: wasmPacker(loadKernels(), 2 ** 16) }),
    }),
  );
}

/** What a model makes of a prompt: the greedy ids it goes on with. */
async function greedyIds(model: Model, { tokenizer }: TextSide, prompt: readonly number[]): Promise<number[]> {
  const state = createState(model);
  const next = await prefill(model, state, prompt);
  const options = { sampling: greedy, maxTokens: NEW_TOKENS, eosIds: [] };
  const tokens = generate(model, tokenizer, state, next, prompt, options);
  for (;;) {
    const step = await tokens.next();
    if (step.done) return step.value.ids;
  }
}

function opened({ chat }: TextSide, content: string): number[] {
  const message: ChatMessage = { role: "user", content };
  return chat!.openTurns([message]);
}

const furthest = (found: Float32Array, expected: Float32Array) =>
  found.reduce((most, x, at) => Math.max(most, Math.abs(x - expected[at])), 0);

/** Every row's most likely token and how far it is ahead of the next one. */
function favourites(logits: Float32Array, vocabSize: number): { id: number; margin: number }[] {
  return Array.from({ length: logits.length / vocabSize }, (_, row) => {
    const sorted = [...logits.subarray(row * vocabSize, (row + 1) * vocabSize).entries()].sort(([, a], [, b]) => b - a);
    return { id: sorted[0][0], margin: sorted[0][1] - sorted[1][1] };
  });
}

interface Expected {
  readonly prompt: readonly number[];
  readonly ids: readonly number[]; // what the reference goes on with
  readonly logits: Float32Array; // of both, [T · V]
}

async function expectedOf(model: Model, text: TextSide, content: string): Promise<Expected> {
  const prompt = opened(text, content);
  const ids = await greedyIds(model, text, prompt);
  return { prompt, ids, logits: await allLogits(model, createState(model), [...prompt, ...ids]) };
}

let text: TextSide;
const expected = new Map<string, Expected>(); // of the reference backend in f32, by prompt

beforeAll(async () => {
  text = await openTextSide(folder);
  const reference = await open(referenceBackend);
  for (const prompt of PROMPTS) expected.set(prompt, await expectedOf(reference, text, prompt));
}, 240_000);

const wasm = backends.filter(({ name }) => name.startsWith("wasm"));
const others = backends.filter(({ name }) => name !== "reference");

describe.each(backends)("fledgling-4m on $name, f32", ({ create }) => {
  let model: Model;
  beforeAll(async () => {
    model = await open(create);
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
        expect(furthest(row, Float32Array.from(logits[at]))).toBeLessThanOrEqual(1e-4);
      }
    }
  });
});

describe.each(others)("fledgling-4m on $name, f32", ({ create, sample }) => {
  // A software adapter takes its time.
  test.each(sample ? PROMPTS.slice(1, 2) : PROMPTS)(
    "%s: the logits and 64 greedy tokens of the reference",
    async (content) => {
      const model = await open(create);
      const { prompt, ids, logits } = expected.get(content)!;
      const found = await allLogits(model, createState(model), [...prompt, ...ids]);
      expect(furthest(found, logits)).toBeLessThanOrEqual(1e-4);
      expect(await greedyIds(model, text, prompt)).toStrictEqual(ids);
    },
  );
});

// The reference computes in f32 with the weights as they were packed. The kernels round activations to 8 bits as well, so
// tokens must agree wherever the reference is further ahead with its choice than logits may differ (measured: 0.53).
const bound = 1;

describe.each(["rg8", "rg4"] as const)("fledgling-4m in %s", (dtype) => {
  const dequantised = new Map<string, Expected>();
  beforeAll(async () => {
    const reference = await open(referenceBackend, dtype);
    for (const content of PROMPTS) dequantised.set(content, await expectedOf(reference, text, content));
  }, 240_000);

  test.each(wasm)("$name agrees with the reference on the same weights", async ({ create }) => {
    const model = await open(create, dtype);
    const { vocabSize } = model.config;
    for (const [content, { prompt, ids, logits }] of dequantised) {
      const found = await allLogits(model, createState(model), [...prompt, ...ids]);
      expect(furthest(found, logits), content).toBeLessThanOrEqual(bound);
      const chosen = favourites(found, vocabSize);
      const clear = favourites(logits, vocabSize).flatMap(({ id, margin }, row) =>
        margin > bound ? [{ id, row }] : [],
      );
      expect(clear.length, content).toBeGreaterThan(ids.length / 2);
      for (const { id, row } of clear) expect(chosen[row].id, `${content}, token ${row}`).toBe(id);
    }
  });
});

test("five prompts get five different replies of at least 15 different tokens each", () => {
  for (const [prompt, { ids }] of expected) expect(new Set(ids).size, prompt).toBeGreaterThanOrEqual(15);
  expect(new Set([...expected.values()].map(({ ids }) => ids.join())).size).toBe(PROMPTS.length);
});

test("different names come back", async () => {
  const model = await open(wasm[0].create);
  for (const name of ["Mira", "Anna", "Peter"]) {
    const ids = await greedyIds(model, text, opened(text, `My name is ${name}. What is my name?`));
    expect(text.tokenizer.decode(ids)).toContain(`Your name is ${name}.`);
  }
});
