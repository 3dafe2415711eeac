/** Can a config.json crash the parser, make it take memory, or come through wrong?  Any JSON in any field. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ConfigError } from "../../shared/errors.ts";
import { checkConfig, type ModelConfig } from "../../shared/model/config.ts";
import { parseHfConfig } from "../../shared/model/hf-config.ts";
import { stateLayout } from "../../shared/model/state-layout.ts";
import { weightTable } from "../../shared/model/weight-table.ts";
import { weightLeaves } from "../../shared/model/weight-tree.ts";
import { blockTypeOf, type HfConfig, sizesOf } from "../oracle/hf-config.ts";
import { smallHfConfig } from "./random-model.ts";

/** Every field that is read, and what a sentence may call it besides: its name in the engine, or one that it decides. */
const fields: Record<string, string[]> = {
  model_type: [],
  vocab_size: ["vocabSize"],
  hidden_size: ["width"],
  intermediate_size: ["mlpWidth"],
  num_hidden_layers: [],
  num_attention_heads: ["heads", "gateBlocks"],
  num_key_value_heads: ["kvHeads"],
  head_dim: ["headDim", "of a head"],
  lru_width: ["lruWidth"],
  attention_window_size: ["windowSize", "windowKeys"],
  conv1d_width: ["convWidth"],
  logits_soft_cap: ["logitSoftCap"],
  rms_norm_eps: ["normEps"],
  hidden_activation: [],
  partial_rotary_factor: ["rotaryFraction"],
  rope_theta: ["ropeTheta"],
  rope_parameters: ["ropeTheta", "rotaryFraction"],
  attention_bias: [],
  block_types: [],
  _block_types: [],
  embeddings_scale_by_sqrt_dim: [],
  tie_word_embeddings: [],
  bos_token_id: ["bosId"],
  eos_token_id: ["eosIds"],
  pad_token_id: ["padId"],
};

const { block_types, ...rest } = smallHfConfig;
const plain = { ...rest, _block_types: block_types };

const hostileNumber = fc.oneof(
  fc.constantFrom(0, -0, -1, 0.5, 1e9, 2 ** 24, 2 ** 24 + 1, 2 ** 31, 2 ** 32, 2 ** 53 - 1, 2 ** 53, 1e308, 5e-324),
  fc.constantFrom(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY), // JSON says 1e400
  fc.integer({ min: -2, max: 64 }),
  fc.double({ noNaN: true }),
);
const hostileValue = fc.oneof(
  hostileNumber,
  fc.constantFrom<unknown>(true, false, null, "", "default", "silu", "__proto__", "constructor", "recurrent", [], {}),
  fc.array(fc.oneof(hostileNumber, fc.constantFrom("recurrent", "attention", "mamba")), { maxLength: 5 }),
  fc.record({ rope_type: fc.constantFrom("default", "yarn"), rope_theta: hostileNumber }, { requiredKeys: [] }),
  fc.record({ partial_rotary_factor: fc.oneof(hostileNumber, fc.string()) }),
  fc.jsonValue(),
);

/** The config, or the sentence of the refusal. */
function parse(json: unknown): ModelConfig | string {
  try {
    return parseHfConfig(json);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    expect(error.message.length).toBeLessThan(400);
    return error.message;
  }
}

/** A config that came through holds what it promises, and what follows from it is made of numbers. */
function expectUsable(config: ModelConfig): void {
  expect(checkConfig(config)).toBe(config);
  expect(config.mixers.length).toBeLessThanOrEqual(1024);
  expect(config.eosIds.length).toBeLessThanOrEqual(64);
  for (const kind of config.mixers) expect(["rg-lru", "local-attention"]).toContain(kind);
  expect(["gelu-tanh", "silu"]).toContain(config.activation);
  for (const { name, shape } of weightLeaves(weightTable(config))) {
    if (!shape.every((side) => Number.isSafeInteger(side) && side > 0)) expect.fail(`${name} has shape ${shape}`);
  }
  expect(stateLayout(config).bytes).toBeGreaterThan(0);
}

describe("hostile config.json", () => {
  test("any value in any field: a refusal that names it, or a config that is usable", () => {
    const outcomes = { refused: 0, usable: 0 };
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(fields)), hostileValue, (field, value) => {
        const found = parse({ ...plain, [field]: value });
        if (typeof found !== "string") {
          outcomes.usable++;
          expectUsable(found);
          return;
        }
        outcomes.refused++;
        const names = [field, ...fields[field]];
        if (!names.some((name) => found.includes(name))) expect.fail(`${field} = ${JSON.stringify(value)}: ${found}`);
      }),
      { numRuns: 4000 },
    );
    expect(outcomes.refused).toBeGreaterThan(1000);
    expect(outcomes.usable).toBeGreaterThan(100);
  });

  test("any values in several fields, and fields left out", () => {
    const lies = fc.dictionary(fc.constantFrom(...Object.keys(fields)), hostileValue, { maxKeys: 5 });
    const missing = fc.subarray(Object.keys(plain), { maxLength: 3 });
    fc.assert(
      fc.property(lies, missing, (changed, removed) => {
        const json: Record<string, unknown> = { ...plain, ...changed };
        for (const field of removed) delete json[field];
        const found = parse(json);
        if (typeof found !== "string") expectUsable(found);
      }),
      { numRuns: 2000 },
    );
  });

  test("any JSON as the whole file", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (json) => {
        expect(parse(json)).toMatch(/^config\.json: /);
      }),
      { numRuns: 500 },
    );
  });

  test("numbers are not taken at their word", { timeout: 5_000 }, () => {
    // Each of these as the length of a list, or as a list, would take gigabytes; a schema's issue per item, half of one.
    for (const huge of [1025, 1e9, 2 ** 32, 2 ** 53 - 1])
      expect(parse({ ...plain, num_hidden_layers: huge })).toContain("num_hidden_layers");
    for (let repeat = 0; repeat < 10; repeat++) {
      expect(parse({ ...plain, block_types: Array(500_000).fill(0) })).toContain("block_types: Too big");
      expect(parse({ ...plain, eos_token_id: Array(200_000).fill(null) })).toContain(
        "eos_token_id: must be a token id",
      );
    }
  });
});

describe("honest config.json", () => {
  test("comes through as the oracle reads it", () => {
    const side = fc.integer({ min: 1, max: 12 });
    const honest = fc
      .record({
        heads: side,
        groups: fc.constantFrom(1, 2, 3),
        block: side,
        headDim: side.map((half) => 4 * half),
        width: side,
        pattern: fc.array(fc.constantFrom("recurrent", "attention"), { minLength: 1, maxLength: 5 }),
        layers: fc.integer({ min: 1, max: 40 }),
        isOldPattern: fc.boolean(),
        nulls: fc.subarray(["num_key_value_heads", "lru_width", "head_dim"]),
        isTied: fc.option(fc.boolean(), { nil: undefined }),
        isScaled: fc.option(fc.boolean(), { nil: undefined }),
        rest: fc.record({
          vocab_size: fc.integer({ min: 3, max: 300_000 }),
          intermediate_size: fc.nat(999).map((half) => 2 * half + 2),
          attention_window_size: fc.integer({ min: 1, max: 10_000 }),
          conv1d_width: fc.integer({ min: 1, max: 8 }),
          logits_soft_cap: fc.constantFrom(0, 30, 0.5),
          rms_norm_eps: fc.constantFrom(1e-6, 1e-5),
          rope_theta: fc.constantFrom(10_000, 1e6),
          partial_rotary_factor: fc.constantFrom(0.5, 1, 0),
          hidden_activation: fc.constantFrom("gelu_pytorch_tanh", "silu"),
        }),
      })
      .map(({ heads, groups, block, headDim, width, pattern, layers, nulls, isTied, isScaled, isOldPattern, rest }) => {
        // With lru_width or head_dim left to hidden_size, that must be a multiple of what divides it.
        const hidden = 4 * width * heads * groups;
        const config: HfConfig = {
          ...rest,
          hidden_size: hidden,
          num_attention_heads: heads * groups,
          num_key_value_heads: heads,
          head_dim: headDim,
          lru_width: block * heads * groups,
          num_hidden_layers: layers,
          block_types: pattern,
        };
        for (const field of nulls) config[field] = null;
        if (isTied !== undefined) config.tie_word_embeddings = isTied;
        if (isScaled !== undefined) config.embeddings_scale_by_sqrt_dim = isScaled;
        return { config, isOldPattern };
      });
    fc.assert(
      fc.property(honest, ({ config, isOldPattern }) => {
        const { block_types, ...others } = config;
        const file = {
          model_type: "recurrent_gemma",
          ...others,
          [isOldPattern ? "_block_types" : "block_types"]: block_types,
        };
        const { V, D, E, G, K, F, H, KV, d } = sizesOf(config);
        expect(parseHfConfig(file)).toStrictEqual({
          vocabSize: V,
          width: D,
          mlpWidth: F,
          mixers: Array.from({ length: config.num_hidden_layers }, (_, layer) =>
            blockTypeOf(config, layer) === "recurrent" ? "rg-lru" : "local-attention",
          ),
          heads: H,
          kvHeads: KV,
          headDim: d,
          lruWidth: E,
          gateBlocks: G,
          convWidth: K,
          windowSize: config.attention_window_size,
          windowKeys: config.attention_window_size + 1,
          ropeTheta: config.rope_theta,
          rotaryFraction: config.partial_rotary_factor,
          logitSoftCap: config.logits_soft_cap,
          embeddingScale: (config.embeddings_scale_by_sqrt_dim ?? true) ? "bf16-sqrt-width" : "none",
          activation: config.hidden_activation === "silu" ? "silu" : "gelu-tanh",
          normEps: config.rms_norm_eps,
          tiedEmbeddings: config.tie_word_embeddings ?? true,
          bosId: 2,
          padId: 0,
          eosIds: [1],
        });
      }),
      { numRuns: 500 },
    );
  });
});
