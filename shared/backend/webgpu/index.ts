/**
 * The backend on WebGPU: every verb records one or a few dispatches of the kernels in `kernels/`; reading hands them to the GPU.
 *
 *     const opened = await tryDevice(navigator.gpu, sources);     // null: there is no adapter
 *     const backend = webgpuBackend(opened, needs, options);      // synchronous: fits `CreateBackend`, and so `loadModel`
 *     … weights are written …
 *     await backend.ready((done, total) => …);                    // optional: waits for the pipelines, which compile meanwhile
 *
 * `sources` is build/kernels/wgsl.json, the text of every kernel: `npm run build` makes it, and every host can import JSON.
 * `tryDevice` runs on a page and in a Web Worker alike. From a lost device whatever is called next throws `DeviceLostError`, and
 * `RefusedError` once it has refused a command.
 */

import { AerieError } from "../../errors.ts";
import type { WeightRole } from "../../model/weight-table.ts";
import type { Backend, BackendNeeds, State } from "../backend.ts";
import { type WeightDType, weightBytes } from "../packed.ts";
import { Angles } from "./angles.ts";
import { Arena } from "./arena.ts";
import { attend } from "./attention.ts";
import { Commands, type Counters, f32Word } from "./commands.ts";
import type { WebGpuDevice } from "./device.ts";
import { Faults } from "./faults.ts";
import type { GpuBuffer } from "./gpu.ts";
import { cover, coverElements, workgroups } from "./grid.ts";
import { kernels, type Style } from "./kernels.ts";
import { LargestOf } from "./largest.ts";
import { Memory } from "./memory.ts";
import { Products } from "./products.ts";
import { Readback } from "./readback.ts";
import { isBatch, positionsOf, SequenceTable } from "./sequences.ts";
import { arenaSizes } from "./sizes.ts";
import { States } from "./states.ts";
import { atOf, forgetQuantised, type WebGpuTensor } from "./tensor.ts";
import { partsOf, type WebGpuWeight, weightGroup, weightWriter } from "./weights.ts";

export { DeviceLostError, tryDevice, type WebGpuDevice } from "./device.ts";
export { RefusedError } from "./faults.ts";
export type { Style } from "./kernels.ts";
export type { KernelSources } from "./pipelines.ts";

export interface WebGpuOptions {
  /** Tokens per call, at most; longer calls are split. Default 64. */
  readonly maxTokens?: number;
  /** Bytes of a weight in one binding, at most. Default: what the device binds. */
  readonly bindingBytes?: number;
  /** Which kernels run. Default: `workgroups`, and `threads` on a software adapter. */
  readonly style?: Style;
}

export interface WebGpuBackend extends Backend {
  /**
   * Waits until the weights have their room and the pipelines for them and for the rings are compiled. Without it, the first call
   * compiles, and what it reads is a `gpu.memory` where there is no room.
   */
  ready(onProgress?: (done: number, total: number) => unknown): Promise<void>;
  /** Gives back a state's memory at once, or that of all states of a batch. */
  release(state: State): void;
  /** Gives back all memory but that of states. What is computed or read afterwards throws `gpu.closed`. */
  close(): void;
  /** Counts since the backend was made. */
  readonly counters: Readonly<Counters>;
  /** Of all weights together, as announced. */
  readonly weightBytes: number;
}

export function webgpuBackend(opened: WebGpuDevice, needs: BackendNeeds, options: WebGpuOptions = {}): WebGpuBackend {
  const { device, pipelines } = opened;
  const { config, stateLayout } = needs;
  const { maxTokens = 64, bindingBytes = device.limits.maxStorageBufferBindingSize } = options;
  const { style = opened.isSoftware ? "threads" : "workgroups" } = options;
  checkHeads(needs);
  const sizes = arenaSizes(config, maxTokens);
  const faults = new Faults(device);
  const memory = new Memory(opened, faults);
  const numbers = new Arena(sizes.numbers, "activations");
  const vectors = new Arena(sizes.vectors, "int8 activations");
  const arena = createBuffer(4 * sizes.numbers);
  const quantised = createBuffer(16 * sizes.vectors);
  const commands = new Commands(opened, faults, memory, { arena, quantised }, sizes.uploads);
  const readback = new Readback(opened, faults, memory, commands);
  const products = new Products(memory, commands, vectors, style);
  const angles = new Angles(commands);
  const states = new States(opened, memory, commands, readback);
  const sequences = new SequenceTable(commands);
  const largest = new LargestOf(commands, readback, numbers, arena);
  let depth = 0;

  const { add, conv1d, rgLru, rope, softCap } = kernels;
  const rmsNorm = kernels.rmsNorm[style];
  pipelines.begin([add, rmsNorm, kernels.gatedProduct[config.activation], conv1d, rgLru, softCap]);
  for (const block of stateLayout.blocks)
    if (block.kind === "local-attention")
      pipelines.begin([rope, ...Object.values(kernels.ring[block.keys.rows.dtype][style])]);

  function createBuffer(bytes: number): GpuBuffer {
    if (bytes > device.limits.maxStorageBufferBindingSize)
      throw new AerieError(
        "gpu.limits",
        `${maxTokens} tokens a call take ${bytes} bytes of activations, and this GPU binds at most ${device.limits.maxStorageBufferBindingSize}: ask for fewer`,
      );
    return memory.buffer({ bytes, what: `activations of ${maxTokens} tokens a call`, advice: "ask for fewer" });
  }

  function tensor(rows: number, columns: number): WebGpuTensor {
    return { rows, columns, at: numbers.allocate(rows * columns), quantised: [] };
  }

  return {
    name: `webgpu (${opened.name})`,
    maxTokens,
    counters: commands.counters,
    weightBytes: weightBytes(needs.weights),
    async ready(onProgress) {
      await faults.check();
      await pipelines.ready(onProgress);
    },

    close() {
      faults.stop(new AerieError("gpu.closed", "this backend was closed: open another"));
      readback.close();
      memory.close();
    },

    weight(role: WeightRole, shape: readonly number[], dtype: WeightDType) {
      faults.throwKnown(); // there is no room for those before it
      if (role === "embedding") pipelines.begin([kernels.embed[dtype]]);
      if (role === "embedding" || role === "matrix" || role === "gate") {
        const { one, several } = kernels.matmul[dtype][style];
        pipelines.begin([one, several]);
        if (dtype === "rg8" || dtype === "rg4") pipelines.begin([kernels.activations[dtype][style]]);
      }
      return weightWriter(opened, faults, memory, role, shape, dtype, bindingBytes);
    },

    createState: (layout) => states.create(layout),
    readState: (state) => states.read(state),
    writeState(state, bytes, position) {
      states.write(state, bytes);
      state.position = position;
    },
    release: (state) => states.release(state),
    batch: (members) => states.batch(members),

    settled: () => commands.settled(),

    scope(body) {
      const tops = [numbers.top, vectors.top] as const;
      depth++;
      try {
        return depth === 1 ? commands.scope(body) : body();
      } finally {
        numbers.releaseTo(tops[0]);
        products.releaseTo(tops[1]);
        depth--;
      }
    },
    read(x, into = new Float32Array(x.rows * x.columns)) {
      const length = x.rows * x.columns;
      return readback.read(arena, 4 * atOf(x), 4 * length, (bytes) => {
        into.set(new Float32Array(bytes, 0, length));
        return into;
      });
    },
    largest: (x, count) => largest.find(x, count),
    lastRow: (x): WebGpuTensor => ({
      rows: 1,
      columns: x.columns,
      at: atOf(x) + (x.rows - 1) * x.columns,
      quantised: (x as WebGpuTensor).quantised,
    }),

    embed(table, tokens, scale) {
      const x = tensor(tokens.length, table.shape[1]);
      const { dtype, scalesAt } = table as WebGpuWeight;
      commands.reserve(partsOf(table).length, tokens.length);
      const ids = commands.upload(tokens.length, (words) => words.set(tokens));
      for (const [index, { firstRow, rows }] of partsOf(table).entries())
        commands.dispatch(
          kernels.embed[dtype],
          { weight: weightGroup(memory, table, index, null) },
          cover(x.columns, x.rows),
          [ids, x.at, x.rows, x.columns, firstRow, rows, scalesAt + firstRow, f32Word(scale)],
        );
      return x;
    },
    rmsNorm(x, w, eps) {
      const y = tensor(x.rows, x.columns);
      const groups = { weight: weightGroup(memory, w, 0, null) };
      const grid = style === "threads" ? cover(x.rows) : workgroups(x.rows);
      commands.dispatch(rmsNorm, groups, grid, [atOf(x), y.at, x.rows, x.columns, f32Word(eps)]);
      return y;
    },
    matmul(x, w, b) {
      const y = tensor(x.rows, w.shape[0]);
      products.product(x, w, b, y);
      return y;
    },
    blockMatmul(x, w, b) {
      const y = tensor(x.rows, w.shape[0] * w.shape[2]);
      products.product(x, w, b, y);
      return y;
    },
    conv1d(x, w, b, state, taps) {
      const y = tensor(x.rows, x.columns);
      const { room, base, table, position } = sequences.place(state, x.rows, 1);
      const groups = { weight: weightGroup(memory, w, 0, b), state: room };
      const words = [atOf(x), y.at, base + taps.offsetBytes / 4, x.rows, x.columns, w.shape[0], table, position];
      commands.dispatch(conv1d, groups, cover(x.columns, isBatch(state) ? x.rows : 1), words);
      return y;
    },
    rgLru(x, inputGate, recurrenceGate, decay, state, h) {
      const y = tensor(x.rows, x.columns);
      const { room, base, table, position } = sequences.place(state, x.rows, 1);
      const groups = { weight: weightGroup(memory, decay, 0, null), state: room };
      const gates = [atOf(inputGate), atOf(recurrenceGate)];
      const words = [atOf(x), ...gates, y.at, base + h.offsetBytes / 4, x.rows, x.columns, table, position];
      commands.dispatch(rgLru, groups, cover(x.columns, isBatch(state) ? x.rows : 1), words);
      return y;
    },
    rope(x, headDim, rotation, state) {
      const half = rotation.dims / 2;
      if (half === 0) return;
      const place = angles.place(rotation, positionsOf(state, x.rows));
      const grid = cover((x.columns / headDim) * half, x.rows);
      commands.dispatch(rope, {}, grid, [atOf(x), place, x.rows, x.columns, headDim, half]);
      forgetQuantised(x);
    },
    localAttention(call) {
      const out = tensor(call.q.rows, call.q.columns);
      attend(commands, numbers, sequences, style, call, out);
      return out;
    },
    gatedProduct(activation, gate, x) {
      const y = tensor(x.rows, x.columns);
      const count = x.rows * x.columns;
      commands.dispatch(kernels.gatedProduct[activation], {}, coverElements(count), [atOf(gate), atOf(x), y.at, count]);
      return y;
    },
    add(x, y) {
      const count = x.rows * x.columns;
      commands.dispatch(add, {}, coverElements(count), [atOf(x), atOf(y), count]);
      forgetQuantised(x);
    },
    softCap(x, cap) {
      const count = x.rows * x.columns;
      commands.dispatch(softCap, {}, coverElements(count), [atOf(x), count, f32Word(cap), f32Word(1 / cap)]);
      forgetQuantised(x);
    },
  };
}

/** A ring's words hold two or four numbers of one head. */
function checkHeads({ config }: BackendNeeds): void {
  if (config.headDim % 4 !== 0)
    throw new AerieError(
      "kernels",
      `the webgpu backend takes a headDim that is a multiple of 4, found ${config.headDim}: use the reference backend`,
    );
}
