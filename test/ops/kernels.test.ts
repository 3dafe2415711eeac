/** Which kernel module runs, and the memory it runs on: laid out once, refused if too large, never grown. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { BackendNeeds } from "../../shared/backend/backend.ts";
import type { PackedWeight } from "../../shared/backend/packed.ts";
import { type WasmBackend, type WasmOptions, wasmBackend } from "../../shared/backend/wasm/index.ts";
import { chooseKernels, instantiate, type KernelModules } from "../../shared/backend/wasm/kernels.ts";
import { BudgetError } from "../../shared/backend/wasm/memory.ts";
import { wasmPacker } from "../../shared/backend/wasm/packer.ts";
import { matrixDTypes } from "../../shared/checkpoint/matrix-dtypes.ts";
import { absorb, allLogits, createState, restoreState, saveState, step } from "../../shared/engine.ts";
import { AerieError } from "../../shared/errors.ts";
import { type RandomModelOptions, randomModel, randomTokens, smallHfConfig } from "../model/random-model.ts";
import {
  type Activations,
  asEmbedding,
  countFrom,
  kernelModules,
  loadActivations,
  loadWeight,
  pack,
  roomyConfig,
} from "./conformance.ts";
import { normals, seeded } from "./seeded.ts";

const { baseline, relaxed } = kernelModules;

describe("the choice of a module", () => {
  test("relaxed SIMD where it is right", () => {
    expect(chooseKernels(kernelModules)).toStrictEqual({ name: "relaxed SIMD", module: relaxed });
    expect(created(kernelModules).name).toBe("wasm (relaxed SIMD)");
  });

  test("baseline where relaxed SIMD does not validate, and the name says so", () => {
    const chosen = chooseKernels({ baseline, relaxed: null });
    expect(chosen).toStrictEqual({ name: "baseline SIMD (without relaxed SIMD)", module: baseline });
    expect(created({ baseline, relaxed: null }).name).toBe("wasm (baseline SIMD (without relaxed SIMD))");
  });

  // V8 11.3 validated the relaxed dot and returned twice the product. Here another instruction of the same type stands in its place.
  test.each([
    ["i16x8.relaxed_dot_i8x16_i7x16_s", [0xfd, 0x92, 0x02], [0xfd, 0x91, 0x02]], // → i16x8.relaxed_q15mulr_s
    ["i32x4.relaxed_dot_i8x16_i7x16_add_s", [0xfd, 0x93, 0x02], [0xfd, 0x8b, 0x02]], // → i32x4.relaxed_laneselect
  ])("baseline where %s validates and computes wrongly, and the name says so", (_, from, to) => {
    const wrong = patched("relaxed", from, to);
    const chosen = chooseKernels({ baseline, relaxed: wrong });
    expect(chosen).toStrictEqual({ name: "baseline SIMD (the relaxed dot is wrong here)", module: baseline });
  });

  // rg8 asks the host for a sum, 65534 where its dot adds pairs first. Asked for another, it multiplies the other way.
  test.each([
    ["in quads, where the host adds pairs", 65_533],
    ["in pairs, where x86 adds quads", 129_540],
    ["in pairs, where ARM adds quads", -508],
  ])("rg8 multiplies %s, and gives the same bits", async (_, sum) => {
    const leb = (n: number) => [0x41, 0x80 | (n & 0x7f), 0x80 | ((n >> 7) & 0x7f), (n >> 14) & 0x7f];
    const x: Activations = { rows: 1, columns: 300, values: normals(seeded(1), 300) };
    const w = { role: "matrix", shape: [40, 300], dtype: "rg8", values: normals(seeded(2), 12_000) } as const;
    const product = async (modules: KernelModules) => {
      const backend = created(modules, { weights: [w, asEmbedding(x)], config: roomyConfig(300) });
      const [loaded, table] = [loadWeight(backend, w, await pack(w)), await loadActivations(backend, x)];
      return backend.read(backend.matmul(backend.embed(table, [0], 1), loaded, null));
    };
    const other = patched("relaxed", leb(65_534), leb(sum));
    expect(await product({ baseline, relaxed: other })).toStrictEqual(await product({ baseline, relaxed: null }));
  });

  test.each(["relaxed", "baseline"] as const)("a %s module without an export is refused with a sentence", (name) => {
    const letters = (text: string) => [...new TextEncoder().encode(text)];
    const module = patched(name, letters("rg4Matvec"), letters("rg4Matvex"));
    const modules = name === "relaxed" ? { baseline, relaxed: module } : { baseline: module, relaxed: null };
    expect(() => created(modules)).toThrow(AerieError);
    expect(() => created(modules)).toThrow(
      "the kernel module has no rg4Matvec: it was built from other sources, run npm run build",
    );
  });

  test.each(["relaxed", "baseline"] as const)("%s.wasm is valid and below 100 kB", (name) => {
    const bytes = wasmFile(name);
    expect(WebAssembly.validate(bytes)).toBe(true);
    expect(bytes.length).toBeLessThan(100_000);
    const kernels = instantiate(name === "relaxed" ? relaxed! : baseline, new WebAssembly.Memory({ initial: 2 }));
    expect(kernels.rg4Form()).toBe(name === "relaxed" ? 0 : 1);
    expect(kernels.rg8MatvecForm()).toBe(name === "relaxed" ? 2 : 1);
  });
});

describe("the memory", () => {
  test("a model beyond the budget is refused with both numbers", () => {
    const bytes = created(kernelModules).memory.bytes;
    const refused = thrownBy(() => created(kernelModules, {}, { budgetBytes: bytes - 1 }));
    expect(refused).toBeInstanceOf(BudgetError);
    expect(refused).toMatchObject({ code: "memory.budget", neededBytes: bytes, budgetBytes: bytes - 1 });
    expect(String(refused)).toContain(`needs ${bytes} bytes`);
    expect(String(refused)).toContain(`has ${bytes - 1}`);
    expect(created(kernelModules, {}, { budgetBytes: bytes }).memory.bytes).toBe(bytes);
  });

  test("more than wasm32 addresses is refused, whatever the budget", () => {
    const refused = thrownBy(() => created(kernelModules, { weights: [norm(2 ** 30)] }, { budgetBytes: 2 ** 40 }));
    expect(refused).toMatchObject({ code: "memory.budget", budgetBytes: 2 ** 32 });
  });

  // What did not fit stayed counted: outside any scope, nothing fitted ever after.
  test.each(["within a scope", "outside any"])(
    "activations beyond the arena are a sentence, and the backend goes on: %s",
    async (where) => {
      const x: Activations = { rows: 4, columns: 64, values: normals(seeded(1), 256) };
      const backend = created(kernelModules, {}, { maxTokens: 4 });
      const table = await loadActivations(backend, x);
      const tooMany = () => backend.embed(table, Array(100_000).fill(1), 1);
      const refused = thrownBy(() => (where === "outside any" ? tooMany() : backend.scope(tooMany)));
      expect(refused).toMatchObject({ code: "memory.arena" });
      expect(String(refused)).toMatch(
        /activations need \d+ bytes, there is room for \d+: call with fewer tokens at a time/,
      );
      expect(await backend.read(backend.embed(table, countFrom(0, 4), 1))).toStrictEqual(x.values);
      expect(await backend.scope(() => backend.read(backend.embed(table, countFrom(0, 4), 1)))).toStrictEqual(x.values);
    },
  );

  test("a weight beyond the announced bytes is a sentence, and one that fits is still taken", () => {
    const backend = created(kernelModules, { weights: [norm(256)] });
    expect(() => backend.weight("norm", [300], "f32")).toThrow("more than the 1024 bytes they were announced with");
    backend.weight("norm", [256], "f32").write(new Uint8Array(1024));
    expect(() => backend.weight("norm", [1], "f32")).toThrow("more than the 1024 bytes");
  });

  test("a weight of another length is refused", () => {
    const backend = created(kernelModules);
    const writer = backend.weight("norm", [4], "f32");
    writer.write(new Uint8Array(12));
    expect(() => writer.finish()).toThrow("a weight has 16 packed bytes, found 12");
    expect(() => writer.write(new Uint8Array(5))).toThrow("a weight has 16 packed bytes, found 17");
  });

  // Both were written over the end of their room, into other activations.
  test("angles and states beyond the room laid out for them are refused", async () => {
    const x: Activations = { rows: 6, columns: 128, values: normals(seeded(1), 6 * 128) };
    const backend = created(kernelModules, {}, { maxTokens: 4 });
    const tensor = backend.embed(await loadActivations(backend, x), countFrom(0, 6), 1);
    const state = backend.createState({ blocks: [], recurrentBytes: 0, bytes: 64 });
    expect(() => backend.rope(tensor, 128, { theta: 100, dims: 128 }, state)).toThrow(
      "call with fewer tokens at a time",
    );
    expect(await backend.read(tensor)).toStrictEqual(x.values);
    expect(() => backend.createState({ blocks: [], recurrentBytes: 0, bytes: 65 })).toThrow(
      "a state of 65 bytes does not fit the 64 bytes",
    );
  });

  test.each(["width", "lruWidth", "mlpWidth", "headDim"])("a %s that is no multiple of 4 is refused", (name) => {
    expect(() => created(kernelModules, { config: { ...roomyConfig(64), [name]: 66 } })).toThrow(
      `the wasm backend takes a ${name} that is a multiple of 4, found 66: use the reference backend`,
    );
  });
});

const dtypes = ["f32", "f16", "rg8", "rg4"] as const;
const packer = wasmPacker(kernelModules, 256);

describe("a model at work", () => {
  test("more states than slots: swapping keeps every bit", async () => {
    const V = smallHfConfig.vocab_size;
    const prompts = [0, 1, 2, 3, 4].map((seed) => randomTokens(30, V, seed));
    const logits = await Promise.all([1, 2, 5].map(interleaved));
    expect(logits[0]).toStrictEqual(logits[2]);
    expect(logits[1]).toStrictEqual(logits[2]);

    /** Five conversations take turns; one is saved and restored where it happens to lie. */
    async function interleaved(stateSlots: number): Promise<unknown[]> {
      const { model } = await load({ ring: "i8" }, { stateSlots });
      const states = prompts.map(() => createState(model));
      const seen: unknown[] = [];
      for (let t = 0; t < 30; t++) {
        for (const [i, prompt] of prompts.entries()) seen.push(await step(model, states[i], prompt[t]));
        if (t % 7 === 3) states[t % 5] = restoreState(model, await saveState(model, states[t % 5]));
      }
      for (const state of states) seen.push(await saveState(model, state));
      return seen;
    }
  });

  test("a state that was never used is zeros, even in a slot that another one left", async () => {
    const { model } = await load({}, { stateSlots: 1 });
    const [used, fresh] = [createState(model), createState(model)];
    absorb(model, used, randomTokens(20, smallHfConfig.vocab_size));
    const saved = await saveState(model, used);
    const first = await step(model, fresh, 1);
    expect(await step(model, createState((await load({}, {})).model), 1)).toStrictEqual(first);
    expect(await saveState(model, used)).toStrictEqual(saved);
  });

  test("the memory never grows, and nothing is left in the arena", async () => {
    const { model, backend } = await load({ ring: "f16", load: { dtypes: matrixDTypes("rg4"), packer } }, {});
    const { buffer } = backend.memory.memory;
    const state = createState(model);
    const tokens = randomTokens(200, smallHfConfig.vocab_size);
    await allLogits(model, state, tokens);
    const peak = backend.memory.arenaPeakBytes;
    for (let round = 0; round < 5; round++) await allLogits(model, state, tokens);
    for (const token of tokens) await step(model, state, token);
    expect(backend.memory.memory.buffer).toBe(buffer);
    expect(buffer.byteLength).toBe(backend.memory.bytes);
    expect(backend.memory.arenaPeakBytes).toBe(peak);
  });

  test("a call of as many tokens as were announced fits the arena, whatever the model's shape", async () => {
    const shape = fc.record({
      hidden_size: fc.constantFrom(32, 64, 100),
      intermediate_size: fc.constantFrom(8, 64, 200).map((width) => 2 * width),
      lru_width: fc.constantFrom(48, 96),
      num_attention_heads: fc.constantFrom(1, 2, 4),
      num_key_value_heads: fc.constant(1),
      head_dim: fc.constantFrom(8, 32, 64),
      attention_window_size: fc.constantFrom(1, 8, 300),
      vocab_size: fc.constantFrom(3, 50, 500),
      conv1d_width: fc.constantFrom(2, 4),
    });
    const options = fc.record({
      gateBlocks: fc.constantFrom(1, 3, 8),
      weights: fc.constantFrom(...dtypes),
      embedding: fc.constantFrom(...dtypes),
      maxTokens: fc.constantFrom(1, 2, 5, 24, 64),
    });
    await fc.assert(
      fc.asyncProperty(shape, options, async (hf, { gateBlocks, weights, embedding, maxTokens }) => {
        const widest = wasmPacker(kernelModules, 1000);
        const { model, backend } = await load(
          {
            hf: { ...smallHfConfig, ...hf, num_hidden_layers: 3 },
            override: hf.lru_width % gateBlocks === 0 ? { gateBlocks } : {},
            load: { dtypes: matrixDTypes(weights, embedding), packer: widest },
          },
          { maxTokens },
        );
        await allLogits(model, createState(model), randomTokens(2 * maxTokens + 1, hf.vocab_size));
        expect(backend.memory.arenaPeakBytes).toBeLessThanOrEqual(backend.memory.sizes.arenaBytes);
      }),
      { seed: 1, numRuns: 25 },
    );
  });
});

async function load(
  { hf = smallHfConfig, ...options }: RandomModelOptions & { hf?: typeof smallHfConfig },
  wasm: WasmOptions,
) {
  const made: WasmBackend[] = [];
  const { model } = await randomModel(
    hf,
    (needs) => {
      made.push(wasmBackend(kernelModules, needs, { maxTokens: 24, ...wasm }));
      return made[0];
    },
    options,
  );
  return { model, backend: made[0] };
}

const norm = (width: number): PackedWeight => ({ role: "norm", shape: [width], dtype: "f32" });

function created(modules: KernelModules, needs: Partial<BackendNeeds> = {}, options: WasmOptions = {}): WasmBackend {
  const stateLayout = { blocks: [], recurrentBytes: 0, bytes: 64 };
  return wasmBackend(modules, { weights: [norm(16_384)], config: roomyConfig(64), stateLayout, ...needs }, options);
}

function thrownBy(body: () => unknown): unknown {
  try {
    body();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

function wasmFile(name: "relaxed" | "baseline"): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(fileURLToPath(new URL(`../../build/kernels/${name}.wasm`, import.meta.url))));
}

/** The module with every occurrence of some bytes replaced by as many others. */
function patched(name: "relaxed" | "baseline", from: number[], to: number[]): WebAssembly.Module {
  const bytes = wasmFile(name);
  let replaced = 0;
  for (let at = 0; at + from.length <= bytes.length; at++) {
    if (!from.every((byte, i) => bytes[at + i] === byte)) continue;
    bytes.set(to, at);
    replaced++;
  }
  expect(replaced).toBeGreaterThan(0);
  return new WebAssembly.Module(bytes);
}
