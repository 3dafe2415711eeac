/** How large are the two RecurrentGemmas?  Counted from their configs, against the numbers that Google and the files give. */

import { describe, expect, test } from "vitest";
import { recurrentGemma2B, recurrentGemma9B } from "../../shared/model/presets.ts";
import { type RingDType, type StateRegion, stateLayout } from "../../shared/model/state-layout.ts";
import { elements, type WeightRole, weightTable } from "../../shared/model/weight-table.ts";
import { weightLeaves } from "../../shared/model/weight-tree.ts";

const models = [
  {
    name: "2B",
    config: recurrentGemma2B,
    parameters: 2_682_862_080,
    embedding: 655_360_000,
    tensors: 484,
    state: { h: 184_320, conv: 552_960, f32: 33_554_432, f16: 16_777_216, i8: 8_388_608, scales: 131_072 },
    stateBytes: 34_291_712,
  },
  {
    name: "9B",
    config: recurrentGemma9B,
    parameters: 8_579_977_216,
    embedding: 1_048_576_000,
    tensors: 704,
    state: { h: 425_984, conv: 1_277_952, f32: 50_331_648, f16: 25_165_824, i8: 12_582_912, scales: 196_608 },
    stateBytes: 52_035_584,
  },
];

describe.each(models)("$name", ({ config, parameters, embedding, tensors, state, stateBytes }) => {
  const leaves = weightLeaves(weightTable(config));
  const count = (specs: typeof leaves) => specs.reduce((sum, { shape }) => sum + elements(shape), 0);

  test("has as many parameters as the paper says", () => {
    expect(count(leaves)).toBe(parameters);
    expect(count(leaves.filter(({ role }) => role === "embedding"))).toBe(embedding);
  });

  test("has as many tensors as its files, each under a name of its own, and one more where untied", () => {
    expect(leaves).toHaveLength(tensors);
    expect(new Set(leaves.map(({ name }) => name)).size).toBe(tensors);
    const untied = weightLeaves(weightTable({ ...config, tiedEmbeddings: false }));
    expect(untied.map(({ name }) => name)).toStrictEqual([...leaves.map(({ name }) => name), "lm_head.weight"]);
  });

  test("has 21 tensors in a recurrent block and 13 in an attention block", () => {
    for (const [block, kind] of config.mixers.entries()) {
      const own = leaves.filter(({ name }) => name.startsWith(`model.layers.${block}.`));
      expect(own).toHaveLength(kind === "rg-lru" ? 21 : 13);
    }
  });

  test("gives every tensor the shape of its role", () => {
    const rank: Record<WeightRole, number[]> = {
      embedding: [2],
      matrix: [2],
      gate: [3],
      conv: [3],
      decay: [1],
      norm: [1],
      bias: [1, 2],
    };
    for (const { role, shape } of leaves) expect(rank[role]).toContain(shape.length);
  });

  test.each<RingDType>(["f32", "f16", "i8"])("has a state of constant size, with rings of %s", (ring) => {
    const layout = stateLayout(config, ring);
    const bytes = { h: 0, conv: 0, rows: 0, scales: 0 };
    const regions: StateRegion[] = [];
    const add = (part: keyof typeof bytes, region: StateRegion | null) => {
      if (!region) return;
      bytes[part] += region.bytes;
      regions.push(region);
    };
    for (const block of layout.blocks) {
      if (block.kind === "rg-lru") {
        add("h", block.h);
        add("conv", block.conv);
      } else {
        for (const { rows, scales } of [block.keys, block.values]) {
          add("rows", rows);
          add("scales", scales);
        }
      }
    }
    const scales = ring === "i8" ? state.scales : 0;
    expect(bytes).toStrictEqual({ h: state.h, conv: state.conv, rows: state[ring], scales });
    expect(layout.recurrentBytes).toBe(state.h + state.conv);
    expect(layout.bytes).toBe(state.h + state.conv + state[ring] + scales);
    if (ring === "f32") expect(layout.bytes).toBe(stateBytes);

    // Back to back: the sizes above are all there is.
    let end = 0;
    for (const { offsetBytes, bytes } of regions.toSorted((a, b) => a.offsetBytes - b.offsetBytes)) {
      expect(offsetBytes).toBe(end);
      end += bytes;
    }
    expect(end).toBe(layout.bytes);
  });
});
