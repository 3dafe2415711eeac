/**
 * How an op is judged. The same packed weights and the same activations go to every backend; then
 * - every backend is compared with the reference, by NMSE;
 * - the two wasm modules must agree in every bit;
 * - each of them must agree with itself in every bit, whether it is fed its rows at once, in pieces or one by one.
 *   (That the reference does so too is seen by test/model/state.test.ts; here it is the slow one and runs once.)
 * A backend may ask for a sample of the cases (`BackendUnderTest.sample`); it is fed the rows at once and in uneven pieces.
 */

import { loadKernels } from "../../cli/kernels.ts";
import type { Backend, BackendNeeds, State, Tensor, Weight } from "../../shared/backend/backend.ts";
import { packedBytes, type WeightDType } from "../../shared/backend/packed.ts";
import { wasmPacker } from "../../shared/backend/wasm/packer.ts";
import { noPacker, packWeight } from "../../shared/checkpoint/pack.ts";
import type { ModelConfig } from "../../shared/model/config.ts";
import type { StateLayout, StateRegion } from "../../shared/model/state-layout.ts";
import type { WeightRole } from "../../shared/model/weight-table.ts";
import { type BackendUnderTest, backends } from "../backends.ts";
import { seeded, seedOf } from "./seeded.ts";

/** Activations that enter an op: [rows, columns], row-major. */
export interface Activations {
  readonly rows: number;
  readonly columns: number;
  readonly values: Float32Array;
}

export interface CaseWeight {
  readonly role: WeightRole;
  readonly shape: readonly number[];
  readonly dtype: WeightDType;
  readonly values: Float32Array; // row-major, as `prepare` returns them
}

export interface CaseState {
  readonly layout: StateLayout;
  readonly position: number;
  readonly bytes: Uint8Array;
  /** f32 regions that the op computes, judged by NMSE; all other bytes must be the reference's own. */
  readonly computed?: readonly StateRegion[];
}

export interface Tolerance {
  /** Σ (found − expected)² / Σ expected², at most; 0: the same numbers. */
  readonly nmse: number;
  readonly reason: string;
}

/** One call of an op: some of a case's rows, from `first` on. */
export interface Call {
  readonly backend: Backend;
  readonly x: readonly Tensor[]; // the inputs' rows
  readonly w: readonly Weight[];
  readonly state: State;
  readonly first: number;
  readonly count: number;
}

/** One op at one size. */
export interface OpCase {
  readonly op: string;
  readonly sizes: Readonly<Record<string, string | number | boolean>>;
  readonly seed: number;
  readonly tolerance: Tolerance;
  /** Tokens of all calls together; every input has as many rows. */
  readonly T: number;
  readonly inputs?: readonly Activations[];
  readonly weights?: readonly CaseWeight[];
  readonly state?: CaseState;
  /** Whether it is about subnormal numbers. */
  readonly hasSubnormals?: boolean;
  /** Whether no sample leaves it out: each case of its kind is about something else. */
  readonly isAlwaysJudged?: boolean;
  run(call: Call): Tensor;
}

/** What one way to feed the rows gave. */
interface Outcome {
  readonly rows: Float32Array;
  readonly state: Uint8Array;
}

export const MAX_TOKENS = 64;
const WINDOW_KEYS = 512; // the most that a case may ask for
const HEAD_DIM = 128;
const EMPTY: CaseState = {
  layout: { blocks: [], recurrentBytes: 0, bytes: 0 },
  position: 0,
  bytes: new Uint8Array(),
};

export const kernelModules = loadKernels();

/** Throws, naming op, sizes, seed, place and both values, at the first case that is wrong on any backend. */
export async function judge(cases: readonly OpCase[], judged: readonly BackendUnderTest[] = backends): Promise<void> {
  const needs = needsOf(cases);
  const made = judged.map((judged) => ({
    ...judged,
    backend: judged.create(needs, MAX_TOKENS),
    cases: judged.sample === undefined ? cases : sampleOf(cases, judged.sample),
  }));
  for (const opCase of cases) {
    const judging = made.filter(
      ({ cases, flushesSubnormals }) => cases.includes(opCase) && !(opCase.hasSubnormals && flushesSubnormals),
    );
    if (judging.length === 1) continue; // the reference alone
    const packed = await Promise.all((opCase.weights ?? []).map(pack));
    const outcomes = [];
    for (const { name, sample, backend } of judging) {
      const all: number[][] = outcomes.length === 0 ? [[opCase.T]] : splits(opCase.T);
      const ways = sample === undefined ? all : all.filter((way) => way.length === 1 || way.some((n) => n > 1));
      outcomes.push({ name, ...(await runEveryWay(name, backend, opCase, packed, ways)) });
    }
    const [reference, ...others] = outcomes;
    for (const other of others) expectClose(opCase, other.name, other, reference);
    const [relaxed, baseline] = others.filter(({ name }) => name.startsWith("wasm"));
    expectSame(opCase, `${baseline.name} and ${relaxed.name}`, baseline, relaxed);
  }
}

/**
 * So many cases that lie evenly among all, and those that are judged always. The first case's name says where the choice begins: the
 * calls of a suite list the same sizes, and together they should see all of them.
 */
export function sampleOf(cases: readonly OpCase[], sample: number): OpCase[] {
  const [{ op, sizes }] = cases;
  const first = Math.floor(seeded(seedOf(JSON.stringify([op, sizes])))() * cases.length);
  const part = (index: number) => Math.floor((index * sample) / cases.length);
  return cases.filter(({ isAlwaysJudged }, index) => isAlwaysJudged || part(first + index) !== part(first + index + 1));
}

/** Room for the weights and states of all cases, and for the activations of any one of them. */
function needsOf(cases: readonly OpCase[]): BackendNeeds {
  const weights = cases.flatMap(({ inputs = [], weights = [] }) => [...weights, ...inputs.map(asEmbedding)]);
  const widest = Math.max(
    ...weights.map(({ shape }) => Math.max(...shape, shape.length === 3 ? shape[0] * shape[1] : 0)),
  );
  return {
    weights,
    config: roomyConfig(Math.ceil(widest / 4) * 4),
    stateLayout: { ...EMPTY.layout, bytes: Math.max(...cases.map(({ state = EMPTY }) => state.layout.bytes)) },
  };
}

/** No model: widths that leave room for any tensor of up to `widest` columns. */
export function roomyConfig(widest: number): ModelConfig {
  return {
    vocabSize: widest,
    width: widest,
    mlpWidth: widest,
    mixers: [],
    heads: Math.ceil(widest / HEAD_DIM),
    kvHeads: Math.ceil(widest / HEAD_DIM),
    headDim: HEAD_DIM,
    lruWidth: widest,
    gateBlocks: 1,
    convWidth: 4,
    windowSize: WINDOW_KEYS - 1,
    windowKeys: WINDOW_KEYS,
    ropeTheta: 10_000,
    rotaryFraction: 1,
    logitSoftCap: 0,
    embeddingScale: "none",
    activation: "gelu-tanh",
    normEps: 1e-6,
    tiedEmbeddings: true,
    bosId: 0,
    padId: 0,
    eosIds: [],
  };
}

export const asEmbedding = ({ rows, columns, values }: Activations): CaseWeight => ({
  role: "embedding",
  shape: [rows, columns],
  dtype: "f32",
  values,
});

/** A weight's bytes, as every backend reads them. */
export async function pack({ role, shape, dtype, values }: CaseWeight): Promise<Uint8Array> {
  const isQuantised = dtype === "rg8" || dtype === "rg4";
  const packer = isQuantised ? wasmPacker(kernelModules, Math.max(...shape)) : noPacker;
  const bytes = new Uint8Array(packedBytes(role, shape, dtype));
  let written = 0;
  await packWeight(role, shape, dtype, values, packer, (piece) => {
    bytes.set(piece, written);
    written += piece.length;
  });
  if (written !== bytes.length) throw new RangeError(`${dtype} ${shape}: ${written} bytes, expected ${bytes.length}`);
  return bytes;
}

export function loadWeight(backend: Backend, { role, shape, dtype }: CaseWeight, packed: Uint8Array): Weight {
  const writer = backend.weight(role, shape, dtype);
  writer.write(packed);
  return writer.finish();
}

/** Activations as a table whose rows `embed` looks up: how numbers get into any backend. */
export const loadActivations = async (backend: Backend, x: Activations): Promise<Weight> =>
  loadWeight(backend, asEmbedding(x), await pack(asEmbedding(x)));

export const countFrom = (first: number, count: number): number[] => Array.from({ length: count }, (_, i) => first + i);

/** Ways to cut T rows into calls: at once first. */
function splits(T: number): number[][] {
  const ways = [[T]];
  if (T > 1) ways.push(Array(T).fill(1));
  const pieces: number[] = [];
  // Around the GEMMs' tile of 4 tokens.
  for (const piece of [3, 1, 5, 4, 2, 8, 7, T]) {
    const left = T - pieces.reduce((sum, n) => sum + n, 0);
    if (left > 0) pieces.push(Math.min(piece, left));
  }
  if (pieces.length > 1 && pieces.length < T) ways.push(pieces);
  return ways;
}

async function runEveryWay(
  name: string,
  backend: Backend,
  opCase: OpCase,
  packed: readonly Uint8Array[],
  [whole, ...ways]: readonly (readonly number[])[],
): Promise<Outcome> {
  const weights = (opCase.weights ?? []).map((w, at) => loadWeight(backend, w, packed[at]));
  const tables = await Promise.all((opCase.inputs ?? []).map((x) => loadActivations(backend, x)));
  const expected = await runInPieces(backend, opCase, weights, tables, whole);
  for (const way of ways) {
    const found = await runInPieces(backend, opCase, weights, tables, way);
    expectSame(opCase, `${name} in calls of ${way} and at once`, found, expected);
  }
  return expected;
}

async function runInPieces(
  backend: Backend,
  { state: start = EMPTY, run }: OpCase,
  w: readonly Weight[],
  tables: readonly Weight[],
  pieces: readonly number[],
): Promise<Outcome> {
  const state = backend.createState(start.layout);
  backend.writeState(state, start.bytes, start.position);
  const parts: Float32Array[] = [];
  let first = 0;
  for (const count of pieces) {
    const rows = await backend.scope(() => {
      const x = tables.map((table) => backend.embed(table, countFrom(first, count), 1));
      return backend.read(run({ backend, x, w, state, first, count }));
    });
    parts.push(rows);
    first += count;
    state.position += count;
  }
  return { rows: joined(parts), state: await backend.readState(state) };
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function expectSame(opCase: OpCase, what: string, found: Outcome, expected: Outcome): void {
  if (found.rows.length !== expected.rows.length)
    fail(opCase, `${what}: ${found.rows.length} numbers, not ${expected.rows.length}`);
  const bits = [found.rows, expected.rows].map(({ buffer }) => new Uint32Array(buffer));
  const at = bits[0].findIndex((word, i) => word !== bits[1][i]);
  if (at >= 0) fail(opCase, `${what} differ at ${at}: ${found.rows[at]} and ${expected.rows[at]}`);
  const byte = found.state.findIndex((value, i) => value !== expected.state[i]);
  if (byte >= 0) fail(opCase, `the states of ${what} differ at byte ${byte}`);
}

function expectClose(opCase: OpCase, name: string, found: Outcome, expected: Outcome): void {
  expectNumbers(opCase, name, found.rows, expected.rows);
  const { computed = [] } = opCase.state ?? EMPTY;
  const [rest, expectedRest] = [found.state.slice(), expected.state.slice()];
  for (const { offsetBytes, bytes } of computed) {
    const region = ({ state }: Outcome) => new Float32Array(state.slice(offsetBytes, offsetBytes + bytes).buffer);
    expectNumbers(opCase, `${name}'s state`, region(found), region(expected));
    for (const state of [rest, expectedRest]) state.fill(0, offsetBytes, offsetBytes + bytes);
  }
  const byte = rest.findIndex((value, i) => value !== expectedRest[i]);
  if (byte >= 0) fail(opCase, `${name}'s state differs from the reference's at byte ${byte}`);
}

function expectNumbers(opCase: OpCase, what: string, found: Float32Array, expected: Float32Array): void {
  const { nmse, worst } = compare(found, expected);
  const { tolerance } = opCase;
  if (!(nmse <= tolerance.nmse))
    fail(
      opCase,
      `${what} has NMSE ${nmse.toExponential(2)}, at most ${tolerance.nmse} (${tolerance.reason}); ` +
        `worst at ${worst}: expected ${expected[worst]}, found ${found[worst]}`,
    );
}

/** NaN and numbers in the place of zeros count as infinitely wrong. */
export function compare(
  found: Float32Array,
  expected: Float32Array,
): { readonly nmse: number; readonly worst: number } {
  let [errors, squares, worst, largest] = [0, 0, 0, 0];
  for (let at = 0; at < expected.length; at++) {
    const error = Math.abs(found[at] - expected[at]);
    errors += error * error;
    squares += expected[at] * expected[at];
    if (!(error <= largest)) [worst, largest] = [at, error];
  }
  if (found.length !== expected.length) return { nmse: Number.POSITIVE_INFINITY, worst };
  return { nmse: errors === 0 ? 0 : errors / squares, worst };
}

function fail({ op, sizes, seed }: OpCase, what: string): never {
  const shown = Object.entries(sizes).map(([name, size]) => `${name} ${size}`);
  throw new Error(`${op} (${shown.join(", ")}, seed ${seed}): ${what}`);
}
