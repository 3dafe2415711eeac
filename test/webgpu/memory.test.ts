/** Where a GPU's memory ends: WebGPU hands out buffers that are none, throws nothing, and drops every command that names one. */

import { describe, expect, test } from "vitest";
import { type WebGpuBackend, webgpuBackend } from "../../shared/backend/webgpu/index.ts";
import {
  batchOf,
  createState,
  type Model,
  prefill,
  restoreState,
  saveState,
  step,
  stepBatch,
} from "../../shared/engine.ts";
import { gpu } from "../backends.ts";
import { randomModel, randomTokens, smallHfConfig } from "../model/random-model.ts";
import { type LimitedDevice, limitedDevice } from "./limited-device.ts";

const V = smallHfConfig.vocab_size;
const tokens = randomTokens(12, V);

interface Loaded extends LimitedDevice {
  readonly model: Model;
  readonly backend: WebGpuBackend;
}

describe.skipIf(!gpu)("on a GPU whose memory ends", () => {
  // The model was "Ready", and the first prompt failed with a sentence about commands.
  test("weights without room are told as such, by ready and by whatever reads", async () => {
    const refused =
      /the GPU has no room for a weight of [\d×]+ in f32, \d+ bytes \(.*\): close other programs.*fewer bits/;
    const { backend } = await load(5_000);
    await expect(backend.ready()).rejects.toMatchObject({ code: "gpu.memory" });
    await expect(backend.ready()).rejects.toThrow(refused);
    expect(() => backend.weight("norm", [4], "f32")).toThrow(refused); // no need to load the rest
    await expect(load(5_000).then(({ model }) => step(model, createState(model), 1))).rejects.toThrow(refused);
  });

  test("activations without room are told as such", async () => {
    await expect(load(0, 0).then(({ backend }) => backend.ready())).rejects.toThrow(
      /the GPU has no room for activations of 64 tokens a call, \d+ bytes \(.*\): ask for fewer/,
    );
  });

  test("a state without room is told to those who use it, and the others go on", async () => {
    const { model, memory } = await load();
    const state = createState(model);
    await prefill(model, state, tokens);
    const saved = await saveState(model, state);

    memory.limit = memory.used;
    const refused = new RegExp(
      `the GPU has no room for a state, ${model.stateLayout.bytes} bytes \\(.*\\): release states`,
    );
    const [alone, restored, read] = [createState(model), restoreState(model, saved), createState(model)];
    await expect(prefill(model, alone, tokens)).rejects.toThrow(refused);
    await expect(step(model, alone, 1)).rejects.toMatchObject({ code: "gpu.memory" });
    await expect(step(model, restored, 1)).rejects.toThrow(refused);
    await expect(saveState(model, read)).rejects.toThrow(refused);
    await expect(batchOf(model, [state, read])).rejects.toMatchObject({ code: "gpu.memory" });

    memory.limit = Number.POSITIVE_INFINITY;
    const twin = restoreState(model, saved);
    expect(await step(model, state, 1)).toStrictEqual(await step(model, twin, 1));
    expect(await saveState(model, state)).toStrictEqual(await saveState(model, twin));
  });

  test("a read without room is told to whoever reads, and what it would have read is still there", async () => {
    const { model, memory } = await load();
    const [state, twin] = [createState(model), createState(model)];
    await model.backend.readState(twin);
    memory.limit = memory.used;
    await expect(prefill(model, state, tokens)).rejects.toThrow(
      `the GPU has no room for numbers on their way back, 256 bytes`,
    );
    memory.limit = Number.POSITIVE_INFINITY;
    await prefill(model, twin, tokens);
    expect(await step(model, state, 1)).toStrictEqual(await step(model, twin, 1));
  });

  // They had been moved into the batch's buffer before anybody knew that there was none.
  test("a batch without room is refused, and its states stay what and where they are", async () => {
    const { model, memory } = await load();
    const [a, b] = [createState(model), createState(model)];
    for (const state of [a, b]) await prefill(model, state, tokens);
    memory.limit = memory.used;
    await expect(batchOf(model, [a, b])).rejects.toThrow(
      new RegExp(`the GPU has no room for 2 states side by side, ${2 * model.stateLayout.bytes} bytes`),
    );
    const expected = await step(model, a, 1);
    expect(await step(model, b, 1)).toStrictEqual(expected);

    memory.limit = Number.POSITIVE_INFINITY;
    const logits = await stepBatch(model, await batchOf(model, [a, b]), [2, 2]);
    expect(logits.slice(V)).toStrictEqual(logits.slice(0, V));
    expect([a, b].map(({ position }) => position)).toStrictEqual([14, 14]);
  });
});

describe.skipIf(!gpu)("on a GPU whose memory is counted", () => {
  // They were garbage, of which the collector saw a few hundred bytes each: a bench of batches piled up 19 GB.
  test("states that live in a batch have left their own buffers, and go with the last of them", async () => {
    const { model, backend, memory } = await load();
    const { bytes } = model.stateLayout;
    const atFirst = memory.used;
    const [a, b, c] = [1, 2, 3].map(() => createState(model));
    expect(memory.used - atFirst).toBe(3 * bytes);
    const first = await batchOf(model, [a, b]);
    expect(memory.used - atFirst).toBe(3 * bytes);
    const second = await batchOf(model, [b, c]);
    expect(memory.used - atFirst).toBe(4 * bytes); // a keeps the first batch's buffer
    backend.release(first);
    expect(memory.used - atFirst).toBe(2 * bytes); // c keeps the second's
    backend.release(c);
    backend.release(second);
    backend.release(a);
    expect(memory.used).toBe(atFirst);
    for (const use of [step(model, a, 1), saveState(model, b), stepBatch(model, second, [1, 2]), batchOf(model, [c])])
      await expect(use).rejects.toThrow("a state was used after its release: restore it from a saved one");
  });

  test("a state is released behind what was enqueued for it, and behind what was read of it", async () => {
    const { model, backend } = await load();
    const [state, twin] = [createState(model), createState(model)];
    const expected = await prefill(model, twin, tokens);
    const [logits, saved] = [prefill(model, state, tokens), saveState(model, state)];
    backend.release(state);
    expect(await logits).toStrictEqual(expected);
    expect((await saved).bytes).toStrictEqual((await saveState(model, twin)).bytes);
  });

  // There were two for every size that was ever read.
  test("reads of any size share a few buffers", async () => {
    const { model, backend, memory } = await load();
    const atFirst = memory.used;
    const read = (rows: number) =>
      backend.scope(() => backend.read(backend.embed(model.weights.embedding, randomTokens(rows, V), 1)));
    for (let rows = 1; rows <= 64; rows++) expect(await read(rows)).toHaveLength(rows * 32);
    expect(memory.used - atFirst).toBeLessThan(2 * 4 * 64 * 32);
    await Promise.all(Array.from({ length: 20 }, () => read(64)));
    expect(memory.used - atFirst).toBeLessThanOrEqual(8 * 4 * 64 * 32);
  });

  test("a backend that is closed leaves nothing behind but states, and says that it is closed", async () => {
    const { model, backend, memory } = await load();
    const state = createState(model);
    await prefill(model, state, tokens);
    await saveState(model, state);
    backend.close();
    expect(memory.used).toBe(model.stateLayout.bytes);
    await expect(step(model, state, 1)).rejects.toMatchObject({ code: "gpu.closed" });
    await expect(saveState(model, state)).rejects.toThrow("this backend was closed: open another");
    backend.release(state);
    expect(memory.used).toBe(0);
  });
});

/** A model on a device of its own. Bytes that are left for its weights, and for what comes before them; default: plenty. */
async function load(forWeights = Number.POSITIVE_INFINITY, before = Number.POSITIVE_INFINITY): Promise<Loaded> {
  const device = await limitedDevice();
  const made: WebGpuBackend[] = [];
  device.memory.limit = before;
  const { model } = await randomModel(smallHfConfig, (needs) => {
    made.push(webgpuBackend(device.opened, needs));
    device.memory.limit = device.memory.used + forWeights;
    return made[0];
  });
  return { ...device, model, backend: made[0] };
}
