/** Are the random checkpoints lively, repeatable, and what a reader of Hugging Face folders expects? */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { GOLDEN_CASES, loadGoldenCase } from "./golden-case.ts";
import { forwardF64, type Rows } from "./griffin-f64.ts";
import type { HfConfig } from "./hf-config.ts";
import { randomCheckpoint, writeHfFolder } from "./random-checkpoint.ts";
import { readSafetensors, roundTo } from "./safetensors.ts";

const base: HfConfig = {
  vocab_size: 96,
  hidden_size: 32,
  intermediate_size: 96,
  num_hidden_layers: 6,
  num_attention_heads: 4,
  num_key_value_heads: 1,
  head_dim: 8,
  lru_width: null,
  attention_window_size: 8,
  conv1d_width: 4,
  logits_soft_cap: 30,
  rms_norm_eps: 1e-6,
  hidden_activation: "gelu_pytorch_tanh",
  partial_rotary_factor: 0.5,
  rope_theta: 10000,
  block_types: ["recurrent", "recurrent", "attention"],
};

const shapes: Record<string, Partial<HfConfig>> = {
  plain: {},
  hawk: { block_types: ["recurrent"], logits_soft_cap: 0, embeddings_scale_by_sqrt_dim: false },
  "wider lru, 2 key heads, silu": { lru_width: 48, num_key_value_heads: 2, hidden_activation: "silu" },
  "narrower lru, 4 key heads, untied": { lru_width: 24, num_key_value_heads: 4, tie_word_embeddings: false },
  "1 head": { num_attention_heads: 1, head_dim: 32 },
  "head_dim apart from width": { head_dim: 16, hidden_size: 36, lru_width: 40 },
};

const tokens = Array.from({ length: 40 }, (_, t) => (t === 0 ? 2 : (t * 37 + 11) % 96));

describe.each(Object.entries(shapes))("random checkpoint: %s", (_, overrides) => {
  const config = { ...base, ...overrides };
  const { tensors } = randomCheckpoint(config, 20260101);

  it("gives logits of order 1 to 4 and a memory of a few to hundreds of tokens", () => {
    const decays: number[] = [];
    const tap = (name: string, rows: Rows) => {
      if (name.endsWith(".decay")) decays.push(...rows.flatMap((row) => [...row]));
    };
    const { logits } = forwardF64(config, tensors, tokens, { tap });
    const largest = Math.max(...logits.map((row) => Math.max(...row.map(Math.abs))));
    expect(largest).toBeGreaterThan(1.5);
    expect(largest).toBeLessThan(8);
    const share = decays.filter((a) => a > 0.8 && a < 0.999).length / decays.length;
    expect(share).toBeGreaterThan(0.85);
  });

  it("has no zero and no repeated tensor", () => {
    const sums = [...tensors.values()].map(({ data }) => data.reduce((total, value) => total + value, 0));
    expect(new Set(sums).size).toBe(tensors.size);
    for (const { data } of tensors.values()) expect(data.every((value) => value !== 0)).toBe(true);
  });
});

describe("random checkpoint", () => {
  it.each(GOLDEN_CASES)("has the names and shapes of %s", (name) => {
    const golden = loadGoldenCase(name);
    const stored = readSafetensors(readFileSync(join(golden.dir, "hf", "model.safetensors")));
    const shapesOf = (tensors: typeof stored) =>
      Object.fromEntries([...tensors].map(([key, { shape }]) => [key, shape]));
    expect(shapesOf(randomCheckpoint(golden.config, 1).tensors)).toEqual(shapesOf(stored));
  });

  it("is the same for the same seed, another for another, and rounded to the type asked for", () => {
    expect(randomCheckpoint(base, 5)).toEqual(randomCheckpoint(base, 5));
    expect(randomCheckpoint(base, 5).tensors).not.toEqual(randomCheckpoint(base, 6).tensors);
    for (const dtype of ["F32", "BF16", "F16"] as const) {
      for (const { data } of randomCheckpoint(base, 5, { dtype }).tensors.values()) {
        expect(data.every((value) => roundTo(dtype, value) === value)).toBe(true);
      }
    }
  });

  it("keeps its values: a change here silently changes every test that is built on it", () => {
    const { tensors } = randomCheckpoint(base, 42);
    const first = tensors.get("model.embed_tokens.weight")!.data.slice(0, 3);
    expect([...first]).toEqual([0.004660437349230051, -0.0033047208562493324, -0.196343332529068]);
  });
});

describe("writeHfFolder", () => {
  let dir = "";
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), "aerie-oracle-"));
  });
  afterAll(() => rmSync(dir, { recursive: true }));
  const checkpoint = randomCheckpoint(base, 7, { dtype: "BF16" });

  it("writes one file that reads back exactly", () => {
    const folder = join(dir, "single");
    writeHfFolder(folder, checkpoint, { dtype: "BF16" });
    expect(readdirSync(folder).sort()).toEqual(["config.json", "model.safetensors"]);
    expect(JSON.parse(readFileSync(join(folder, "config.json"), "utf8"))).toEqual(checkpoint.config);
    expect(readSafetensors(readFileSync(join(folder, "model.safetensors")))).toEqual(checkpoint.tensors);
  });

  it("writes shards whose index names every tensor's file", () => {
    const folder = join(dir, "sharded");
    writeHfFolder(folder, checkpoint, { shards: 3 });
    const index = JSON.parse(readFileSync(join(folder, "model.safetensors.index.json"), "utf8"));
    const files = [1, 2, 3].map((i) => `model-0000${i}-of-00003.safetensors`);
    const union = new Map(
      files.flatMap((file) => {
        const tensors = readSafetensors(readFileSync(join(folder, file)));
        for (const name of tensors.keys()) expect(index.weight_map[name]).toBe(file);
        return [...tensors];
      }),
    );
    expect(union).toEqual(checkpoint.tensors);
    const values = [...union.values()].reduce((count, { data }) => count + data.length, 0);
    expect(index.metadata.total_size).toBe(4 * values);
  });
});
