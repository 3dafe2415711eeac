/** What in-place verbs and views promise: the tensor itself changes, every view of it with it, and nothing else. */

import { describe, expect, test } from "vitest";
import type { Backend, State, Tensor, Weight } from "../../shared/backend/backend.ts";
import type { StateLayout } from "../../shared/model/state-layout.ts";
import { backends } from "../backends.ts";
import {
  type Activations,
  asEmbedding,
  type CaseWeight,
  countFrom,
  loadActivations,
  loadWeight,
  pack,
  roomyConfig,
} from "./conformance.ts";
import { normals, seeded } from "./seeded.ts";

const layout: StateLayout = { blocks: [], recurrentBytes: 0, bytes: 0 };
const T = 6;
const D = 64;
const random = seeded(1);
const activations: Activations = { rows: T, columns: D, values: normals(random, T * D) };
const others: Activations = { rows: T, columns: D, values: normals(random, T * D, 10) };
const matrices = (["rg8", "rg4"] as const).map(
  (dtype): CaseWeight => ({ role: "matrix", shape: [20, D], dtype, values: normals(random, 20 * D) }),
);
const gates = (["rg8", "rg4"] as const).map(
  (dtype): CaseWeight => ({ role: "gate", shape: [2, 32, 32], dtype, values: normals(random, 2 * 32 * 32) }),
);
const gateBias: CaseWeight = { role: "bias", shape: [D], dtype: "f32", values: new Float32Array(D) };

/** Every verb that changes its argument. */
const changes: Record<string, (backend: Backend, x: Tensor, y: Tensor, state: State) => void> = {
  add: (backend, x, y) => backend.add(x, y),
  rope: (backend, x, _, state) => backend.rope(x, 32, { theta: 100, dims: 32 }, state),
  softCap: (backend, x) => backend.softCap(x, 0.5),
};

describe.each(backends)("$name", ({ create }) => {
  // A quantised product keeps the int8 form of its activations for the next one: it went on using it after a change in place.
  describe.each(Object.keys(changes))("after %s", (verb) => {
    test.each([T, 1])("a quantised product of %i rows sees the new numbers", async (rows) => {
      const found = await run(({ backend, x, y, product, state }) => {
        product(x);
        changes[verb](backend, x, y, state);
        return product(x);
      }, rows);
      const expected = await run(({ backend, x, y, product, state }) => {
        changes[verb](backend, x, y, state);
        return product(x);
      }, rows);
      for (const [at, numbers] of found.entries()) expect(numbers).toStrictEqual(expected[at]);
    });

    test("so does a product with the last row, whichever of the two was changed", async () => {
      const viewChanged = await run(({ backend, x, y, product, state }) => {
        const view = backend.lastRow(x);
        product(x);
        product(view);
        changes[verb](backend, view, backend.lastRow(y), state);
        return [...product(x), ...product(view)];
      }, T);
      const wholeChanged = await run(({ backend, x, y, product, state }) => {
        const view = backend.lastRow(x);
        product(view);
        changes[verb](backend, x, y, state);
        return product(view);
      }, T);
      const expectedView = [];
      for (const part of [(_: Backend, x: Tensor) => x, (backend: Backend, x: Tensor) => backend.lastRow(x)])
        expectedView.push(
          ...(await run(({ backend, x, y, product, state }) => {
            changes[verb](backend, backend.lastRow(x), backend.lastRow(y), state);
            return product(part(backend, x));
          }, T)),
        );
      const expectedWhole = await run(({ backend, x, y, product, state }) => {
        changes[verb](backend, x, y, state);
        return product(backend.lastRow(x));
      }, T);
      expect(viewChanged).toStrictEqual(expectedView);
      expect(wholeChanged).toStrictEqual(expectedWhole);
    });
  });

  // Kernels write whole vectors: behind a last row that is no multiple of 4 wide they wrote into the next tensor.
  test.each(["add", "softCap"])("%s of a last row of any width changes that row alone", async (verb) => {
    for (const columns of [1, 2, 3, 5, 9, 16, 17]) {
      const rows = 16;
      const table: Activations = { rows, columns, values: normals(seeded(columns), rows * columns, 10) };
      const backend = createFor([], [table]);
      const weight = await loadActivations(backend, table);
      const [changed, next] = await backend.scope(() => {
        const [x, y] = [1, 2].map(() => backend.embed(weight, countFrom(0, rows), 1));
        changes[verb](backend, backend.lastRow(x), backend.lastRow(y), backend.createState(layout));
        return Promise.all([backend.read(x), backend.read(y)]);
      });
      const last = (rows - 1) * columns;
      expect(next, `${columns} columns`).toStrictEqual(table.values);
      expect(changed.slice(0, last), `${columns} columns`).toStrictEqual(table.values.slice(0, last));
      expect(changed.slice(last), `${columns} columns`).not.toStrictEqual(table.values.slice(last));
    }
  });

  // A matrix-vector product writes whole tiles of 16 rows: the last block's went over the end of the result, into the int8 form
  // of the first block's activations, which the recurrence's other gate then read.
  test.each(["rg8", "rg4"] as const)("a second gate of %s blocks whose side is no multiple of 16", async (dtype) => {
    for (const [I, O] of [
      [32, 17],
      [64, 17],
      [48, 48],
      [20, 20],
    ]) {
      const x: Activations = { rows: 1, columns: 2 * I, values: normals(seeded(I), 2 * I) };
      const w: CaseWeight = { role: "gate", shape: [2, I, O], dtype, values: normals(seeded(O), 2 * I * O) };
      const b: CaseWeight = { role: "bias", shape: [2 * O], dtype: "f32", values: normals(seeded(1), 2 * O) };
      const backend = createFor([w, b], [x]);
      const weights = await Promise.all([w, b].map(async (weight) => loadWeight(backend, weight, await pack(weight))));
      const table = await loadActivations(backend, x);
      const [first, second] = await backend.scope(() => {
        const v = backend.embed(table, [0], 1);
        const gates = [1, 2].map(() => backend.blockMatmul(v, weights[0], weights[1]));
        return Promise.all(gates.map((gate) => backend.read(gate)));
      });
      expect(second, `${I} in, ${O} out`).toStrictEqual(first);
    }
  });

  test("an int8 form does not outlive the scope that it was made in", async () => {
    const backend = createFor([matrices[0]], [activations, others]);
    const w = loadWeight(backend, matrices[0], await pack(matrices[0]));
    const tables = [await loadActivations(backend, activations), await loadActivations(backend, others)];
    const [before, after] = await backend.scope(() => {
      const x = backend.embed(tables[0], countFrom(0, T), 1);
      const reads = [backend.scope(() => backend.read(backend.matmul(x, w, null)))];
      for (let t = 0; t < T; t++) backend.embed(tables[1], countFrom(0, T), 1); // where the int8 form lay
      return Promise.all([...reads, backend.read(backend.matmul(x, w, null))]);
    });
    expect(after).toStrictEqual(before);
  });

  test("the last row is a view: it and the tensor change together", async () => {
    const backend = createFor([], [activations]);
    const table = await loadActivations(backend, activations);
    const [view, whole] = await backend.scope(() => {
      const x = backend.embed(table, countFrom(0, T), 1);
      const row = backend.lastRow(x);
      expect([row.rows, row.columns]).toStrictEqual([1, D]);
      backend.add(x, x);
      backend.add(row, row);
      return Promise.all([backend.read(row), backend.read(x)]);
    });
    expect(view).toStrictEqual(activations.values.slice(-D).map((x) => 4 * x));
    expect(whole.slice(-D)).toStrictEqual(view);
    expect(whole.slice(0, -D)).toStrictEqual(activations.values.slice(0, -D).map((x) => 2 * x));
  });

  test("the last row of one row is that row", async () => {
    const backend = createFor([], [activations]);
    const table = await loadActivations(backend, activations);
    const row = await backend.scope(() => backend.read(backend.lastRow(backend.embed(table, [3], 1))));
    expect(row).toStrictEqual(activations.values.slice(3 * D, 4 * D));
  });

  test("read copies the value as of its call, into a given array or a new one", async () => {
    const backend = createFor([], [activations]);
    const table = await loadActivations(backend, activations);
    const into = new Float32Array(D + 3).fill(7);
    const [given, fresh] = await backend.scope(() => {
      const x = backend.embed(table, [2], 1);
      const reads = [backend.read(x, into), backend.read(x)];
      backend.add(x, x);
      return Promise.all(reads);
    });
    const row = activations.values.slice(2 * D, 3 * D);
    expect(given).toBe(into);
    expect(into).toStrictEqual(Float32Array.from([...row, 7, 7, 7]));
    expect(fresh).toStrictEqual(row);
  });

  function createFor(weights: CaseWeight[], inputs: Activations[]): Backend {
    return create({
      weights: [...weights, ...inputs.map(asEmbedding)],
      config: roomyConfig(128),
      stateLayout: layout,
    });
  }

  interface Scene {
    readonly backend: Backend;
    readonly x: Tensor;
    readonly y: Tensor;
    readonly state: State;
    product(x: Tensor): Tensor[];
  }

  async function run(body: (scene: Scene) => Tensor[], rows: number): Promise<Float32Array[]> {
    const weights = [...matrices, ...gates, gateBias];
    const backend = createFor(weights, [activations, others]);
    const loaded: Weight[] = [];
    for (const w of weights) loaded.push(loadWeight(backend, w, await pack(w)));
    const tables = [await loadActivations(backend, activations), await loadActivations(backend, others)];
    return await backend.scope(() => {
      const [x, y] = tables.map((table) => backend.embed(table, countFrom(0, rows), 1));
      const state = backend.createState(layout);
      state.position = 5;
      const product = (x: Tensor) => [
        ...matrices.map((_, at) => backend.matmul(x, loaded[at], null)),
        ...gates.map((_, at) => backend.blockMatmul(x, loaded[2 + at], loaded[4])),
      ];
      return Promise.all(body({ backend, x, y, state, product }).map((result) => backend.read(result)));
    });
  }
});
