/** The backend on WebAssembly SIMD: every verb calls one kernel of `assembly/` on one preallocated memory. */

import { AerieError } from "../../errors.ts";
import { rotaryDims } from "../../model/config.ts";
import type { StateRegion } from "../../model/state-layout.ts";
import type { Backend, BackendNeeds, State, WeightWriter } from "../backend.ts";
import { type PackedWeight, packedBytes } from "../packed.ts";
import { arenaBytes } from "./arena-bytes.ts";
import { attend } from "./attention.ts";
import { chooseKernels, instantiate, type KernelModules } from "./kernels.ts";
import { type Counters, Matmul } from "./matmul.ts";
import { KernelMemory, WASM32_BYTES } from "./memory.ts";
import { RopeTable } from "./rope.ts";
import { StateSlots } from "./states.ts";
import { atOf, forgetQuantised, type WasmTensor, type WasmWeight, weightAt } from "./tensor.ts";
import { bytesInStreams, matricesOf, places, streamsOf } from "./weight-streams.ts";

export interface WasmOptions {
  /** Bytes that the host lets the model have: weights, states and activations. Default: all that wasm32 addresses, 4 GiB. */
  readonly budgetBytes?: number;
  /** Tokens per call, at most; longer calls are split. Default 64. */
  readonly maxTokens?: number;
  /** States that lie in the memory at the same time; others wait outside. Default 2. */
  readonly stateSlots?: number;
}

export interface WasmBackend extends Backend {
  readonly memory: KernelMemory;
  /** The kernels that run here. */
  readonly module: WebAssembly.Module;
  /** Counts since the backend was made. */
  readonly counters: Readonly<Counters>;
}

// How far kernels write beyond a tensor: a matrix-vector product ends with a whole tile of 16 rows, any verb on a view of the
// last row with a whole vector, wherever they begin.
const OVERHANG_BYTES = 60;

export function wasmBackend(modules: KernelModules, needs: BackendNeeds, options: WasmOptions = {}): WasmBackend {
  const { budgetBytes = WASM32_BYTES, maxTokens = 64, stateSlots = 2 } = options;
  const { config, weights, stateLayout } = needs;
  checkWidths(needs);
  const chosen = chooseKernels(modules);
  const memory = new KernelMemory(
    {
      weightStreams: streamsOf(weights),
      stateBytes: stateLayout.bytes,
      stateSlots,
      arenaBytes: arenaBytes(config, maxTokens, maxTokens),
    },
    budgetBytes,
  );
  const kernels = instantiate(chosen.module, memory.memory);
  const slots = new StateSlots(memory);
  const counters: Counters = { multiplyAdds: 0, weightBytes: 0, ringBytes: 0 };
  const matmul = new Matmul(kernels, memory, counters);
  const angles = maxTokens * (rotaryDims(config) / 2);
  const ropeTable = new RopeTable(memory, memory.allocate(8 * angles), angles);

  function tensor(rows: number, columns: number): WasmTensor {
    return { rows, columns, at: memory.allocate(4 * rows * columns + OVERHANG_BYTES), quantised: [] };
  }
  const address = (state: State, region: StateRegion) => slots.address(state, region);

  return {
    name: `wasm (${chosen.name})`,
    maxTokens,
    memory,
    module: chosen.module,
    counters,

    weight: (role, shape, dtype) => weightWriter(memory, { role, shape, dtype }),
    createState: (layout) => slots.create(layout),
    readState: async (state) => slots.read(state),
    writeState(state, bytes, position) {
      slots.write(state, bytes);
      state.position = position;
    },

    scope: (body) => memory.scope(body),
    // An async function runs up to its first wait at once: the copy is made when `read` is called.
    async read(x, into = new Float32Array(x.rows * x.columns)) {
      into.set(memory.f32(atOf(x), x.rows * x.columns));
      return into;
    },
    lastRow: (x): WasmTensor => ({
      rows: 1,
      columns: x.columns,
      at: atOf(x) + 4 * (x.rows - 1) * x.columns,
      quantised: (x as WasmTensor).quantised,
    }),

    embed(table, tokens, scale) {
      const x = tensor(tokens.length, table.shape[1]);
      for (const [t, token] of tokens.entries()) matmul.row(table, token, x.at + 4 * t * x.columns, scale);
      return x;
    },
    rmsNorm(x, w, eps) {
      const y = tensor(x.rows, x.columns);
      kernels.rmsNorm(atOf(x), weightAt(w), y.at, x.rows, x.columns, eps);
      return y;
    },
    matmul(x, w, b) {
      const y = tensor(x.rows, w.shape[0]);
      matmul.product(x, 0, w, 0, b ? weightAt(b) : 0, y.at, 4 * y.columns);
      return y;
    },
    blockMatmul(x, w, b) {
      const [B, , O] = w.shape;
      const y = tensor(x.rows, B * O);
      matmul.blockProduct(x, w, b, y);
      return y;
    },
    conv1d(x, w, b, state, taps) {
      const y = tensor(x.rows, x.columns);
      kernels.conv1d(atOf(x), weightAt(w), weightAt(b), y.at, address(state, taps), x.rows, x.columns, w.shape[0]);
      return y;
    },
    rgLru(x, inputGate, recurrenceGate, decay, state, h) {
      const y = tensor(x.rows, x.columns);
      const gates = [atOf(inputGate), atOf(recurrenceGate)] as const;
      const isStart = state.position === 0 ? 1 : 0;
      kernels.rgLru(atOf(x), ...gates, weightAt(decay), y.at, address(state, h), x.rows, x.columns, isStart);
      return y;
    },
    rope(x, headDim, rotation, state) {
      const { cos, sin } = ropeTable.angles(rotation, state.position, x.rows);
      kernels.rope(atOf(x), cos, sin, x.rows, x.columns / headDim, headDim, rotation.dims / 2);
      forgetQuantised(x);
    },
    localAttention(call) {
      const out = tensor(call.q.rows, call.q.columns);
      attend(kernels, memory, slots, counters, call, out.at);
      return out;
    },
    gatedProduct(activation, gate, x) {
      const y = tensor(x.rows, x.columns);
      const kernel = activation === "gelu-tanh" ? kernels.gatedProductGelu : kernels.gatedProductSilu;
      kernel(atOf(gate), atOf(x), y.at, x.rows * x.columns);
      return y;
    },
    add(x, y) {
      kernels.add(atOf(x), atOf(y), x.rows * x.columns);
      forgetQuantised(x);
    },
    softCap(x, cap) {
      kernels.softCap(atOf(x), x.rows * x.columns, cap);
      forgetQuantised(x);
    },
  };
}

/** Rows are read four numbers at a time, and the next row begins right behind. */
function checkWidths({ config }: BackendNeeds): void {
  const { width, lruWidth, mlpWidth, headDim } = config;
  for (const [name, value] of Object.entries({ width, lruWidth, mlpWidth, headDim })) {
    if (value % 4 !== 0)
      throw new AerieError(
        "kernels",
        `the wasm backend takes a ${name} that is a multiple of 4, found ${value}: use the reference backend`,
      );
  }
}

function weightWriter(memory: KernelMemory, weight: PackedWeight): WeightWriter {
  const { role, shape, dtype } = weight;
  const bytes = packedBytes(role, shape, dtype);
  const at = memory.allocateWeight(bytesInStreams(weight));
  const rest = places(weight, at);
  let place = { at: 0, bytes: 0 };
  let written = 0;
  return {
    write(piece) {
      if (written + piece.length > bytes) throw wrongLength(bytes, written + piece.length);
      written += piece.length;
      for (let from = 0; from < piece.length; ) {
        if (place.bytes === 0) place = rest.next().value ?? place;
        const part = piece.subarray(from, from + place.bytes);
        memory.u8(place.at, part.length).set(part);
        place = { at: place.at + part.length, bytes: place.bytes - part.length };
        from += part.length;
      }
    },
    finish(): WasmWeight {
      if (written !== bytes) throw wrongLength(bytes, written);
      return { shape, dtype, at: at.first, matrices: matricesOf(weight, at) };
    },
  };
}

function wrongLength(expected: number, found: number): AerieError {
  return new AerieError("memory.weights", `a weight has ${expected} packed bytes, found ${found}`);
}
