/** Can the judge be trusted?  It equals DeepMind's f64 reference where that speaks (one key head, tanh GELU, equal
 *  widths); elsewhere it equals Hugging Face's, and obeys the identities that any right forward pass must. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { assertClose, flat, worstDifference } from "./difference.ts";
import { GOLDEN_CASES, type GoldenCaseName, loadGoldenCase } from "./golden-case.ts";
import { type ForwardOptions, forwardF64, type LayerState, type Rows, type Weights } from "./griffin-f64.ts";
import type { HfConfig } from "./hf-config.ts";
import { randomCheckpoint } from "./random-checkpoint.ts";
import { readSafetensors, type Tensor } from "./safetensors.ts";

const LOGITS_TOLERANCE = 1e-12; // both sides are f64; only the order of additions differs
const STATES_TOLERANCE = 3e-6; // the golden states are f32
const ACTS_TOLERANCE = 2e-5; // so are the golden activations, whose error grows along the residual stream

describe.each(GOLDEN_CASES)("golden %s", (name) => {
  const golden = loadGoldenCase(name);
  const { config, prompt, decode } = golden;
  const tokens = [...prompt, ...decode];
  const weights = weightsOf(name);

  it.each(["model.safetensors", "model-bf16.safetensors"])("has the reference's f64 logits from %s", (file) => {
    const { logits } = forwardF64(config, weightsOf(name, file), tokens);
    expect(logits.length).toBe(golden.logits64.length);
    logits.forEach((row, t) => {
      assertClose(`logits of position ${t}`, row, golden.logits64[t]!, LOGITS_TOLERANCE);
    });
  });

  it("has the reference's states after the prompt and after every decode step", () => {
    expect(golden.states.size).toBe(1 + decode.length);
    let stageLength = prompt.length;
    for (const [stage, fields] of golden.states) {
      const { states } = forwardF64(config, weights, tokens.slice(0, stageLength));
      const expectedNames = states.flatMap((state, n) => [...fieldsOf(config, state, stageLength, n).keys()]);
      expect(expectedNames.sort()).toEqual([...fields.keys()].sort());
      states.forEach((state, n) => {
        for (const [field, data] of fieldsOf(config, state, stageLength, n)) {
          assertClose(`${stage}/${field}`, data, fields.get(field)!.data, STATES_TOLERANCE);
        }
      });
      stageLength++;
    }
  });

  it("passes through the reference's activations", () => {
    const seen = new Set<string>();
    const tap = (what: string, rows: Rows) => {
      const act = golden.acts.get(what);
      if (!act) return;
      seen.add(what);
      assertClose(what, flat(rows), act.data, ACTS_TOLERANCE);
    };
    forwardF64(config, weights, prompt, { tap });
    expect([...seen].sort()).toEqual([...golden.acts.keys()].sort());
  });
});

it.each(["griffin-a", "griffin-d"] as const)("sees the edge of %s's window where the reference does", (name) => {
  const { config, prompt, decode, logits64, checks } = loadGoldenCase(name);
  const narrow = forwardF64(config, weightsOf(name), [...prompt, ...decode], {
    windowKeys: config.attention_window_size,
  });
  const differences = narrow.logits.map((row, t) => worstDifference(row, logits64[t]!).size);
  expect(differences.findIndex((size) => size > 1e-9)).toBe(checks.window_minus_1_first_position_that_differs);
  expect(Math.max(...differences)).toBeCloseTo(checks.window_minus_1_max_logit_diff!, 4);
});

/** Everything that the golden cases leave out: E ≠ D, grouped queries, d ≠ D / H, silu, an untied head. */
const odd: HfConfig = {
  vocab_size: 40,
  hidden_size: 20,
  intermediate_size: 56,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 8,
  lru_width: 32,
  attention_window_size: 5,
  conv1d_width: 4,
  logits_soft_cap: 30,
  rms_norm_eps: 1e-6,
  hidden_activation: "silu",
  partial_rotary_factor: 0.5,
  rope_theta: 10000,
  block_types: ["recurrent", "attention"],
  tie_word_embeddings: false,
};
const oddTokens = [2, 7, 39, 0, 7, 7, 21, 5, 13, 30, 8, 2, 1, 11];
const ODD_SEED = 1;

/** The last position's logits from Hugging Face transformers 5.18.0 (torch, f32) for randomCheckpoint(odd, ODD_SEED). */
const huggingFaceLogits = [
  0.124068, -1.328796, -1.361886, 1.50896, 0.522134, 1.009045, -0.157698, -0.001486, -0.541511, -0.249653, -1.125172,
  0.986244, -0.755968, -0.97384, 0.659981, 0.336072, -0.012154, -0.354391, 1.069495, -0.131254, 0.313068, 0.523984,
  -0.405252, 0.60776, 0.828891, -0.557856, 1.755526, 1.456198, -0.41963, -0.160911, 0.300815, 0.483548, 0.908578,
  0.950017, -1.299446, -0.252483, -0.777116, 1.388084, -1.575006, -1.067865,
];

it("has Hugging Face's logits, whose window is one key narrower, for a shape the golden cases leave out", () => {
  const { tensors } = randomCheckpoint(odd, ODD_SEED);
  const { logits } = forwardF64(odd, tensors, oddTokens, { windowKeys: odd.attention_window_size });
  assertClose("logits", logits.at(-1)!, huggingFaceLogits, 5e-6); // theirs is f32
});

describe("identities", () => {
  const { tensors } = randomCheckpoint(odd, ODD_SEED);
  const logitsOf = (config: HfConfig, weights: Weights, options?: ForwardOptions) =>
    flat(forwardF64(config, weights, oddTokens, options).logits);
  const logits = logitsOf(odd, tensors);

  it("knows nothing of the tokens to come", () => {
    for (let length = 1; length <= oddTokens.length; length++) {
      const shorter = forwardF64(odd, tensors, oddTokens.slice(0, length));
      expect(flat(shorter.logits)).toEqual(logits.slice(0, length * odd.vocab_size));
    }
  });

  it.each([1, 2])("treats %i key heads as the same heads repeated", (KV) => {
    const grouped = { ...odd, num_key_value_heads: KV };
    const checkpoint = randomCheckpoint(grouped, 3).tensors;
    const repeated = mapWeights(checkpoint, /[kv]_proj/, ({ shape, data }) => {
      const headValues = data.length / KV;
      const heads = Array.from({ length: 4 }, (_, h) => Math.floor(h / (4 / KV)));
      const rows = heads.map((head) => data.slice(head * headValues, (head + 1) * headValues));
      return { shape: [4 * 8, shape[1]!], data: flat(rows) };
    });
    const perHead = { ...odd, num_key_value_heads: 4 };
    assertClose("logits", logitsOf(grouped, checkpoint), logitsOf(perHead, repeated), LOGITS_TOLERANCE);
  });

  it("does not hear RG-LRU channels that linear_out leaves out, and takes gateBlocks for the number of blocks", () => {
    const wide = { ...odd, lru_width: 40 };
    const padded = randomCheckpoint(wide, 9, { gateBlocks: 5 }).tensors;
    for (const [name, narrow] of tensors) {
      const tensor = padded.get(name)!;
      const rowsAreCut = name.endsWith("linear_out.weight");
      if (rowsAreCut) {
        tensor.data.fill(0);
        for (let i = 0; i < 20; i++) tensor.data.set(narrow.data.subarray(i * 32, (i + 1) * 32), i * 40);
      } else tensor.data.set(narrow.data);
    }
    assertClose("logits", logitsOf(wide, padded, { gateBlocks: 5 }), logits, LOGITS_TOLERANCE);
  });

  it("scales the embedding by √D, rounded to bf16 unless asked to be exact", () => {
    const scaled = (scale: number) =>
      mapWeights(tensors, /embed_tokens/, ({ shape, data }) => ({ shape, data: data.map((e) => e * scale) }));
    const unscaled = { ...odd, embeddings_scale_by_sqrt_dim: false };
    assertClose("bf16", logits, logitsOf(unscaled, scaled(4.46875)), LOGITS_TOLERANCE); // √20 = 4.4721…
    const exact = logitsOf(odd, tensors, { embeddingScale: "exact" });
    assertClose("exact", exact, logitsOf(unscaled, scaled(Math.sqrt(20))), LOGITS_TOLERANCE);
  });

  it("reads lm_head only when the embedding is not tied", () => {
    const tied = { ...odd, tie_word_embeddings: true };
    const copied = new Map(tensors).set("lm_head.weight", tensors.get("model.embed_tokens.weight")!);
    expect(logitsOf(tied, tensors)).toEqual(logitsOf(odd, copied));
  });

  it("caps by cap · tanh(logit / cap), or not at all when the cap is 0", () => {
    const raw = logitsOf({ ...odd, logits_soft_cap: 0 }, tensors);
    expect(raw.map((l) => 30 * Math.tanh(l / 30))).toEqual(logits);
  });

  it("lets a query see windowKeys keys, itself included", () => {
    const oneLayer = { ...odd, num_hidden_layers: 1, block_types: ["attention"] };
    const checkpoint = randomCheckpoint(oneLayer, 4).tensors;
    const last = (tokens: number[], windowKeys: number) =>
      forwardF64(oneLayer, checkpoint, tokens, { windowKeys }).logits.at(-1)!;
    const changed = (index: number) => oddTokens.with(index, 17);
    const first = oddTokens.length - 5; // the oldest of five keys
    expect(last(changed(first - 1), 5)).toEqual(last(oddTokens, 5));
    expect(last(changed(first), 5)).not.toEqual(last(oddTokens, 5));
    expect(last(oddTokens, 1000)).toEqual(last(oddTokens, oddTokens.length));
  });

  it("says which weight is missing or misshapen", () => {
    const name = "model.layers.1.temporal_block.q_proj.weight";
    const without = new Map(tensors);
    without.delete(name);
    expect(() => logitsOf(odd, without)).toThrow(`${name} is missing`);
    const misshapen = new Map(tensors).set(name, { shape: [20, 32], data: tensors.get(name)!.data });
    expect(() => logitsOf(odd, misshapen)).toThrow(`${name} has shape 20×32, the config asks for 32×20`);
  });
});

function weightsOf(name: GoldenCaseName, file = "model.safetensors"): Weights {
  return readSafetensors(readFileSync(join(loadGoldenCase(name).dir, "hf", file)));
}

/** The state of layer n under the golden names: the last `window` keys and values in a ring, slot = position mod window. */
function fieldsOf(config: HfConfig, state: LayerState, length: number, n: number): Map<string, ArrayLike<number>> {
  if (state.kind === "recurrent") {
    return new Map([
      [`blocks.${n}.rg_lru_state`, state.h],
      [`blocks.${n}.conv1d_state`, flat(state.conv)],
    ]);
  }
  const window = config.attention_window_size;
  const ring = (rows: Rows) => {
    const slots: Rows = Array.from({ length: window }, () => new Float64Array(rows[0]!.length));
    rows.forEach((row, position) => {
      slots[position % window] = row;
    });
    return flat(slots);
  };
  return new Map<string, ArrayLike<number>>([
    [`blocks.${n}.keys`, ring(state.keys)],
    [`blocks.${n}.values`, ring(state.values)],
    [`blocks.${n}.num_tokens`, [length]],
  ]);
}

function mapWeights(weights: Weights, names: RegExp, change: (tensor: Tensor) => Tensor): Weights {
  return new Map([...weights].map(([name, tensor]) => [name, names.test(name) ? change(tensor) : tensor]));
}
