/** Every mistake that other engines make, made on purpose: the golden suite must see each. They are what
 *  Hugging Face, candle, mlx-lm and gemma.cpp were found to do, and what a reader of the papers would. */

import { describe, expect, test } from "vitest";
import type { Backend, Tensor, Weight } from "../../shared/backend/backend.ts";
import { bf16ToF32, f32ToBf16 } from "../../shared/backend/dtype.ts";
import { referenceBackend } from "../../shared/backend/reference/index.ts";
import { createTensor, dataOf, f32Region } from "../../shared/backend/reference/tensor.ts";
import { allLogits, createModel, createState, type Model } from "../../shared/engine.ts";
import type { ModelConfig } from "../../shared/model/config.ts";
import type { WeightRole } from "../../shared/model/weight-table.ts";
import type { BlockWeights } from "../../shared/model/weight-tree.ts";
import { randomModel, randomTokens, smallHfConfig } from "../model/random-model.ts";
import { loadGoldenCase } from "../oracle/golden-case.ts";
import { forwardF64 } from "../oracle/griffin-f64.ts";
import { loadGoldenModel, partitions, runGolden, worst, worstLogit } from "./golden-run.ts";

const TOLERANCE = 5e-5; // that of golden.test.ts

interface Mutant {
  readonly mistake: string;
  /** The mistake is made in … */
  readonly config?: Partial<ModelConfig>;
  readonly backend?: (right: Backend) => Partial<Backend>;
  readonly block?: (right: BlockWeights<Weight>) => BlockWeights<Weight>;
  /** The way of feeding tokens that shows it. Default: one shot. */
  readonly way?: string;
}

const mutants: Mutant[] = [
  { mistake: "no embedding scale", config: { embeddingScale: "none" } },
  { mistake: "RMSNorm multiplies by w, not 1 + w", backend: changed("norm", (_, w) => w.map((x) => x - 1)) },
  { mistake: "eps 1e-5", config: { normEps: 1e-5 } },
  { mistake: "MLP gate and up swapped", block: (b) => ({ ...b, mlp: { ...b.mlp, gate: b.mlp.up, up: b.mlp.gate } }) },
  { mistake: "erf GELU", backend: () => ({ gatedProduct: erfGatedProduct }) },
  { mistake: "RoPE interleaved", backend: () => ({ rope: interleavedRope }) },
  { mistake: "RoPE on all dimensions", config: { rotaryFraction: 1 } },
  { mistake: "Λ with the sign of the paper's equation 3", backend: changed("decay", (_, k) => k.map(paperSign)) },
  { mistake: "c = 1", backend: changed("decay", (_, k) => k.map((x) => x / 8)) },
  { mistake: "no window", config: { windowSize: 128, windowKeys: 129 } },
  { mistake: "window one key short", config: { windowKeys: 16 } },
  { mistake: "conv taps reversed", backend: changed("conv", ([W, E], w) => reversedTaps(w, W, E)) },
  { mistake: "conv restarted with zeros in a chunk", backend: convRestarted, way: "chunks of 4" },
  {
    mistake: "input and recurrence gate swapped",
    block: (b) =>
      b.temporal.kind === "rg-lru"
        ? {
            ...b,
            temporal: { ...b.temporal, inputGate: b.temporal.recurrenceGate, recurrenceGate: b.temporal.inputGate },
          }
        : b,
  },
  { mistake: "gate blocks transposed", backend: changed("gate", ([B, side], w) => transposedBlocks(w, B, side)) },
  { mistake: "no multiplier reset at position 0", backend: ({ rgLru }) => ({ rgLru: withoutReset(rgLru) }) },
  { mistake: "state in bfloat16", backend: ({ rgLru }) => ({ rgLru: bf16State(rgLru) }), way: "token by token" },
  { mistake: "no soft cap", config: { logitSoftCap: 0 } },
];

describe("the golden suite catches", () => {
  const golden = loadGoldenCase("griffin-a");

  test.each(mutants)("$mistake", async ({ config, backend, block, way = "one shot" }) => {
    const right = referenceBackend();
    const mutated = { ...right, ...backend?.(right) };
    const model = mutate(await loadGoldenModel(golden, () => mutated), config, block);
    const run = await runGolden(model, golden, partitions(golden).get(way)!);
    expect(worstLogit(run, golden)).toBeGreaterThan(TOLERANCE);
  });

  test("nothing where nothing is wrong", async () => {
    const model = mutate(await loadGoldenModel(golden, referenceBackend), {}, (b) => b);
    const run = await runGolden(model, golden, partitions(golden).get("one shot")!);
    expect(worstLogit(run, golden)).toBeLessThanOrEqual(TOLERANCE);
  });
});

test("the oracle catches an unrounded embedding scale at width 2560, which no golden is wide enough to show", async () => {
  const hf = { ...smallHfConfig, hidden_size: 2560, intermediate_size: 32, lru_width: 40, vocab_size: 20 };
  const { model, checkpoint } = await randomModel(hf, referenceBackend, {
    override: { embeddingScale: "sqrt-width" },
  });
  const tokens = randomTokens(20, hf.vocab_size);
  const expected = forwardF64(hf, checkpoint.tensors, tokens).logits;
  const found = await allLogits(model, createState(model), tokens);
  const errors = expected.map((row, t) => worst(found.subarray(t * hf.vocab_size, (t + 1) * hf.vocab_size), row));
  expect(Math.max(...errors)).toBeGreaterThan(TOLERANCE);
});

function mutate(model: Model, config: Partial<ModelConfig> = {}, block = (b: BlockWeights<Weight>) => b): Model {
  const mutated = { ...model.config, ...config };
  const weights = { ...model.weights, blocks: model.weights.blocks.map(block) };
  return createModel(mutated, model.backend, weights);
}

/** A backend that takes the weights of one role wrongly. */
function changed(wrongRole: WeightRole, change: (shape: readonly number[], values: Float32Array) => Float32Array) {
  return ({ weight }: Backend): Partial<Backend> => ({
    weight(role, shape, dtype) {
      const writer = weight(role, shape, dtype);
      if (role !== wrongRole) return writer;
      return {
        ...writer,
        finish() {
          const right = writer.finish();
          dataOf(right).set(change(shape, dataOf(right).slice()));
          return right;
        },
      };
    },
  });
}

/** From −8 · softplus(Λ) to −8 · softplus(−Λ). */
function paperSign(k: number): number {
  const softplus = -k / 8;
  const lambda = Math.log(Math.expm1(softplus));
  return -8 * (softplus - lambda);
}

function reversedTaps(w: Float32Array, W: number, E: number): Float32Array {
  return w.map((_, at) => w[(W - 1 - Math.floor(at / E)) * E + (at % E)]);
}

function transposedBlocks(w: Float32Array, B: number, side: number): Float32Array {
  const turned = new Float32Array(w.length);
  for (let b = 0; b < B; b++)
    for (let i = 0; i < side; i++)
      for (let o = 0; o < side; o++) turned[(b * side + i) * side + o] = w[(b * side + o) * side + i];
  return turned;
}

function convRestarted({ conv1d }: Backend): Partial<Backend> {
  return {
    conv1d(x, w, b, state, taps) {
      if (x.rows > 1) f32Region(state, taps).fill(0);
      return conv1d(x, w, b, state, taps);
    },
  };
}

function withoutReset(rgLru: Backend["rgLru"]): Backend["rgLru"] {
  return (x, i, r, decay, state, h) => rgLru(x, i, r, decay, { ...state, position: state.position + 1 }, h);
}

function bf16State(rgLru: Backend["rgLru"]): Backend["rgLru"] {
  return (x, i, r, decay, state, h) => {
    const y = rgLru(x, i, r, decay, state, h);
    const hidden = f32Region(state, h);
    hidden.set(hidden.map((value) => bf16ToF32(f32ToBf16(value))));
    return y;
  };
}

const interleavedRope: Backend["rope"] = (x, headDim, { theta, dims }, state) => {
  const xs = dataOf(x);
  for (let t = 0; t < x.rows; t++)
    for (let head = t * x.columns; head < (t + 1) * x.columns; head += headDim)
      for (let j = 0; j < dims / 2; j++) {
        const angle = (state.position + t) * theta ** ((-2 * j) / dims);
        const [a, b] = [xs[head + 2 * j], xs[head + 2 * j + 1]];
        xs[head + 2 * j] = a * Math.cos(angle) - b * Math.sin(angle);
        xs[head + 2 * j + 1] = a * Math.sin(angle) + b * Math.cos(angle);
      }
};

function erfGatedProduct(_activation: unknown, gate: Tensor, x: Tensor): Tensor {
  const y = createTensor(x.rows, x.columns);
  const [gates, xs] = [dataOf(gate), dataOf(x)];
  y.data.forEach((_, at) => {
    y.data[at] = 0.5 * gates[at] * (1 + erf(gates[at] / Math.SQRT2)) * xs[at];
  });
  return y;
}

/** Abramowitz and Stegun 7.1.26; |error| < 1.5e-7, far below what it is here to show. */
function erf(x: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return Math.sign(x) * (1 - poly * Math.exp(-x * x));
}
