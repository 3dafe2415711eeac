/** What only a GPU can do to a model: bind less than a matrix, refuse a command, go away. And what a token costs in commands. */

import { describe, expect, test } from "vitest";
import { loadKernelSources, nodeGpu } from "../../cli/webgpu.ts";
import { wasmBackend } from "../../shared/backend/wasm/index.ts";
import { wasmPacker } from "../../shared/backend/wasm/packer.ts";
import type { Gpu } from "../../shared/backend/webgpu/gpu.ts";
import {
  DeviceLostError,
  RefusedError,
  tryDevice,
  type WebGpuBackend,
  type WebGpuOptions,
  webgpuBackend,
} from "../../shared/backend/webgpu/index.ts";
import type { LoadOptions } from "../../shared/checkpoint/load-weights.ts";
import { type MatrixDTypes, matrixDTypes } from "../../shared/checkpoint/matrix-dtypes.ts";
import {
  absorb,
  createState,
  lastLogits,
  type Model,
  prefill,
  restoreState,
  saveState,
  step,
} from "../../shared/engine.ts";
import { gpu } from "../backends.ts";
import { type RandomModelOptions, randomModel, randomTokens, smallHfConfig } from "../model/random-model.ts";
import { compare, kernelModules } from "../ops/conformance.ts";
import { openDevice, overriding } from "./open-device.ts";

const V = smallHfConfig.vocab_size;
const tokens = randomTokens(40, V);
const quantised = (dtypes: MatrixDTypes): LoadOptions => ({
  dtypes,
  packer: wasmPacker(kernelModules, 256),
});

// Sums in another order: measured 3e-13. One activation or key that falls on the other side between two integers would be 1e-7.
const LOGIT_NMSE = 1e-11;

describe.skipIf(!gpu)("on a GPU", () => {
  describe.each(["f32", "f16", "i8"] as const)("a conversation with a %s ring", (ring) => {
    test.each(["f32", "rg8", "rg4"] as const)("moves from wasm to the GPU and back, %s weights", async (weights) => {
      const options = { ring, load: quantised(matrixDTypes(weights)) };
      const [onWasm, onGpu] = [await wasmModel(options), (await gpuModel(options)).model];
      // All of it on wasm.
      const stayed = createState(onWasm);
      const expected = [await prefill(onWasm, stayed, tokens.slice(0, 20))];
      for (const token of tokens.slice(20)) expected.push(await step(onWasm, stayed, token));

      // The prompt there, ten tokens on the GPU, ten on wasm again.
      const left = createState(onWasm);
      const found = [await prefill(onWasm, left, tokens.slice(0, 20))];
      const first = await saveState(onWasm, left);
      const visiting = restoreState(onGpu, first);
      for (const token of tokens.slice(20, 30)) found.push(await step(onGpu, visiting, token));
      const second = await saveState(onGpu, visiting);
      const home = restoreState(onWasm, second);
      for (const token of tokens.slice(30)) found.push(await step(onWasm, home, token));

      expect([first, second].map(({ position, bytes }) => [position, bytes.length])).toStrictEqual([
        [20, onWasm.stateLayout.bytes],
        [30, onWasm.stateLayout.bytes],
      ]);
      expect(compare(joined(found), joined(expected)).nmse).toBeLessThanOrEqual(LOGIT_NMSE);
    });
  });

  test.each(["f32", "f16", "rg8", "rg4"] as const)(
    "a table beyond one binding is split: %s, the same bits",
    async (dtype) => {
      const options = { load: quantised(matrixDTypes("f32", dtype)) };
      const whole = await gpuModel(options);
      const split = await gpuModel(options, { bindingBytes: 40 * 32 * 4 + 4 * 64 }); // of 4 tiles: 1 or 2 in f32
      for (const { model } of [whole, split]) expect(model.weights.embedding.shape).toStrictEqual([V, 32]);
      const logits = await Promise.all([whole, split].map(({ model }) => prefill(model, createState(model), tokens)));
      expect(logits[1]).toStrictEqual(logits[0]);
    },
  );

  test("one submission and one encoder a token, and as many dispatches at any depth", async () => {
    const { model, backend } = await gpuModel({ ring: "f16" });
    const state = createState(model);
    await prefill(model, state, tokens);
    const costs = [];
    for (const token of tokens.slice(0, 12)) {
      const before = { ...backend.counters };
      await step(model, state, token);
      costs.push({
        dispatches: backend.counters.dispatches - before.dispatches,
        commands: backend.counters.commands - before.commands,
        submissions: backend.counters.submissions - before.submissions,
      });
    }
    expect(new Set(costs.map((cost) => JSON.stringify(cost))).size).toBe(1);
    // embed, final norm, logits and cap; of each block two norms, two additions, three products and ⊙; and its mixer's.
    const [recurrent, attention] = [8 + 8, 8 + 11];
    expect(costs[0].dispatches).toBe(4 + 3 * recurrent + attention);
    expect(costs[0].submissions).toBe(1);
  });

  test.each(["rg8", "rg4"] as const)(
    "without a packed dot product in the language, %s products are the same",
    async (dtype) => {
      const plain = await tryDevice({ ...(await plainGpu()), wgslLanguageFeatures: new Set() }, loadKernelSources());
      const options = { load: quantised(matrixDTypes(dtype)) };
      const models = [await gpuModel(options), await gpuModel(options, {}, plain)];
      const logits = await Promise.all(models.map(({ model }) => prefill(model, createState(model), tokens)));
      expect(logits[1]).toStrictEqual(logits[0]);
    },
  );

  // A prompt was only enqueued: progress ran to its end at once, and 100,000 tokens were 1,600 submissions that no cancel could stop.
  test.each(["prefill in chunks", "logits of more tokens than a call takes"])(
    "%s: two passes ahead of the GPU and no more",
    async (way) => {
      let [submitted, done] = [0, 0];
      const ahead: number[] = [];
      const opened = await openDevice(({ queue }) => ({
        queue: overriding(queue, {
          submit(commands) {
            queue.submit(commands);
            submitted++;
          },
          async onSubmittedWorkDone() {
            const upTo = submitted;
            ahead.push(upTo - done);
            await queue.onSubmittedWorkDone();
            done = upTo;
            return undefined;
          },
        }),
      }));
      const { model } = await gpuModel({}, { maxTokens: 4 }, opened);
      const state = createState(model);
      await (way === "prefill in chunks"
        ? prefill(model, state, tokens, { chunk: 4 })
        : lastLogits(model, state, tokens));
      expect(ahead).toHaveLength(tokens.length / 4 - 1);
      expect(Math.max(...ahead)).toBe(2);
    },
  );

  // It was "the GPU refused a command", for ever and to every conversation, and nothing said what to do.
  test("a backend whose command was refused stops, and says how to go on", async () => {
    const { model, backend } = await gpuModel({});
    const state = createState(model);
    absorb(model, state, [1]);
    const saved = await saveState(model, state);
    // A state of another device's.
    const other = await openDevice();
    const foreign = createState((await gpuModel({}, {}, other)).model);
    absorb(model, foreign, [1]);
    await expect(backend.readState(state)).rejects.toThrow(RefusedError);
    await expect(step(model, state, 1)).rejects.toThrow(
      /^the GPU refused a command \(.+\), and this backend is of no use any more: open a device anew, load the bundle into it and restore the last saved state$/,
    );
    expect(() => absorb(model, createState(model), [1])).toThrow(RefusedError);
    await expect(backend.ready()).rejects.toMatchObject({ code: "gpu.refused" });

    const { model: again } = await gpuModel({}, {}, await openDevice());
    expect(await step(again, restoreState(again, saved), 1)).toBeInstanceOf(Float32Array);
  });

  describe("a lost device", () => {
    test("is told as such by a read that was waiting and by every later call", async () => {
      const opened = await openDevice();
      const { model } = await gpuModel({}, {}, opened);
      const state = createState(model);
      absorb(model, state, tokens.slice(0, 5));
      const waiting = step(model, state, 3);
      opened.device.destroy();
      await expect(waiting).rejects.toThrow(DeviceLostError);
      await expect(step(model, state, 4)).rejects.toThrow(DeviceLostError);
      await expect(saveState(model, state)).rejects.toThrow(
        /the GPU device was lost \(destroyed.*\): open a device anew, load the bundle into it and restore the last saved state/,
      );
    });

    // It was looked for once, a moment after the read had failed, and a GPU's process may take longer to tell.
    test("is told as such also where it is told later than the failure of the read", async () => {
      const opened = await openDevice(({ lost }) => ({
        lost: lost.then((info) => new Promise((resolve) => void setTimeout(() => resolve(info), 100))),
      }));
      const { model } = await gpuModel({}, {}, opened);
      const waiting = step(model, createState(model), 3);
      opened.device.destroy();
      await expect(waiting).rejects.toThrow(DeviceLostError);
    });

    test("ends a long prompt, which reads nothing until its end", async () => {
      const opened = await openDevice();
      const { model } = await gpuModel({}, {}, opened);
      const seen: number[] = [];
      const onProgress = (done: number) => {
        seen.push(done);
        if (done === 8) opened.device.destroy();
      };
      await expect(prefill(model, createState(model), tokens, { chunk: 4, onProgress })).rejects.toThrow(
        DeviceLostError,
      );
      expect(Math.max(...seen)).toBeLessThan(tokens.length);
    });

    test("costs nothing but the tokens since the last saved state", async () => {
      const expected = createState((await gpuModel({})).model);
      const { model: steady } = await gpuModel({});
      const all = await prefill(steady, expected, tokens);

      const opened = await openDevice();
      const { model } = await gpuModel({}, {}, opened);
      const state = createState(model);
      absorb(model, state, tokens.slice(0, 20));
      const saved = await saveState(model, state);
      absorb(model, state, tokens.slice(20, 30));
      opened.device.destroy();
      await expect(step(model, state, tokens[30])).rejects.toThrow(DeviceLostError);

      const { model: again } = await gpuModel({}, {}, await openDevice());
      expect(await prefill(again, restoreState(again, saved), tokens.slice(20))).toStrictEqual(all);
    });
  });
});

/** As an object whose properties can be replaced. */
async function plainGpu(): Promise<Gpu> {
  const gpu = await nodeGpu();
  return { requestAdapter: (options) => gpu.requestAdapter(options) };
}

async function wasmModel(options: RandomModelOptions): Promise<Model> {
  return (await randomModel(smallHfConfig, (needs) => wasmBackend(kernelModules, needs), options)).model;
}

async function gpuModel(
  options: RandomModelOptions,
  webgpu: WebGpuOptions = {},
  opened = gpu,
): Promise<{ model: Model; backend: WebGpuBackend }> {
  if (!opened) throw new Error("these tests are skipped without an adapter");
  const made: WebGpuBackend[] = [];
  const { model } = await randomModel(
    smallHfConfig,
    (needs) => {
      made.push(webgpuBackend(opened, needs, webgpu));
      return made[0];
    },
    options,
  );
  return { model, backend: made[0] };
}

function joined(parts: readonly Float32Array[]): Float32Array {
  return Float32Array.from(parts.flatMap((part) => [...part]));
}
