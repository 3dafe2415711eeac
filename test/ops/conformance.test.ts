/** The judge itself: a backend that is wrong in a number, a bit, a way to split or a byte of its state is found out. */

import { expect, test } from "vitest";
import type { State } from "../../shared/backend/backend.ts";
import { type BackendUnderTest, backends } from "../backends.ts";
import { compare, judge, type OpCase, sampleOf } from "./conformance.ts";
import { normals, seeded } from "./seeded.ts";

const [reference, relaxed, baseline] = backends;
const COLUMNS = 8;

/** Sums of rows, with a state that nothing touches. */
function addition(T: number): OpCase {
  return {
    op: "add",
    sizes: { T, D: COLUMNS },
    seed: 7,
    tolerance: { nmse: 1e-12, reason: "a test" },
    T,
    inputs: [1, 2].map((seed) => ({ rows: T, columns: COLUMNS, values: normals(seeded(seed), T * COLUMNS) })),
    state: { layout: { blocks: [], recurrentBytes: 16, bytes: 16 }, position: 3, bytes: new Uint8Array(16).fill(1) },
    run({ backend, x: [x, y] }) {
      backend.add(x, y);
      return x;
    },
  };
}

const nudge = (rows: Float32Array): void => rows.set([rows[5] * (1 + 2 ** -23)], 5);

test("right backends pass", () => judge([addition(6)]));

test("a wrong number: op, sizes, seed, how far, where and both values", async () => {
  const wrong = altered({ rows: (rows) => void rows.set([rows[5] + 0.5], 5) });
  const { inputs } = addition(1);
  const expected = Math.fround(inputs![0].values[5] + inputs![1].values[5]);
  await expect(judge([addition(1)], [reference, wrong, wrong])).rejects.toThrow(
    new RegExp(
      `^add \\(T 1, D 8, seed 7\\): wasm, altered has NMSE \\S+, at most 1e-12 \\(a test\\); ` +
        `worst at 5: expected ${expected}, found ${Math.fround(expected + 0.5)}$`,
    ),
  );
});

test("a wrong bit in one of two modules", async () => {
  const wrong = altered({ rows: (rows) => nudge(rows) });
  await expect(judge([addition(1)], [reference, relaxed, wrong])).rejects.toThrow(
    /wasm, altered and wasm, relaxed SIMD differ at 5: \S+ and \S+$/,
  );
});

test("a bit that depends on how the rows are split", async () => {
  const wrong = altered({ rows: (rows) => (rows.length === COLUMNS ? nudge(rows) : undefined) });
  await expect(judge([addition(6)], [reference, wrong, baseline])).rejects.toThrow(
    "wasm, altered in calls of 1,1,1,1,1,1 and at once differ at 5",
  );
});

test("a byte of the state, wrong or wrong after a split only", async () => {
  const wrong = altered({ state: (bytes) => void bytes[9]++ });
  await expect(judge([addition(6)], [reference, wrong, baseline])).rejects.toThrow(
    "wasm, altered's state differs from the reference's at byte 9",
  );
  let reads = 0;
  const fickle = altered({ state: (bytes) => void (reads++ === 1 && bytes[9]++) });
  await expect(judge([addition(6)], [reference, fickle, baseline])).rejects.toThrow(
    "the states of wasm, altered in calls of 1,1,1,1,1,1 and at once differ at byte 9",
  );
});

test("NaN and numbers in the place of zeros are infinitely wrong, and nothing is exactly right", () => {
  const error = (found: number[], expected: number[]) =>
    compare(Float32Array.from(found), Float32Array.from(expected)).nmse;
  expect(error([1, 2], [1, 2])).toBe(0);
  expect(error([0, 0], [0, 0])).toBe(0);
  expect(error([1, 2.5], [1, 2])).toBe(0.05);
  expect(error([1e-30, 0], [0, 0])).toBe(Number.POSITIVE_INFINITY);
  expect(error([1], [1, 2])).toBe(Number.POSITIVE_INFINITY);
  expect(error([Number.NaN, 2], [1, 2])).toBeNaN(); // at most nothing
});

// It was the same 5 sizes for every number of rows and every dtype: products over 1, 31 or 512 columns were never judged on a GPU.
test("samples begin elsewhere for every name, and together leave no size out", () => {
  const columns = [1, 31, 32, 33, 64, 96, 160, 255, 256, 257, 288, 512, 768];
  const casesOf = (M: number) => columns.map((N) => ({ ...addition(1), sizes: { M, N } }));
  const samples = [1, 3, 15, 16, 17, 33, 100].map((M) => sampleOf(casesOf(M), 5).map(({ sizes: { N } }) => N));
  for (const sample of samples) expect(sample).toHaveLength(5);
  expect(new Set(samples.flat())).toStrictEqual(new Set(columns));
  expect(sampleOf(casesOf(1).slice(0, 4), 5)).toHaveLength(4);
});

test("a sampled backend judges its sample, and what is always judged", async () => {
  const cases = Array.from({ length: 9 }, (_, at) => ({ ...addition(1), sizes: { at }, isAlwaysJudged: at % 2 === 1 }));
  for (const sample of [1, 3]) {
    let reads = 0;
    const counting = { ...altered({ rows: () => void reads++ }), sample };
    await judge(cases, [reference, ...[relaxed, baseline].map(unsampled), counting]);
    expect(reads).toBe(sampleOf(cases, sample).length);
    expect(sampleOf(cases, sample)).toStrictEqual(expect.arrayContaining([cases[1], cases[3], cases[5], cases[7]]));
  }
});

/** In a page the wasm backends are sampled too. */
const unsampled = ({ sample, ...backend }: BackendUnderTest): BackendUnderTest => backend;

/** The wasm backend with something done to what is read from it. */
function altered({
  rows = () => undefined,
  state = () => undefined,
}: {
  rows?: (rows: Float32Array) => void;
  state?: (bytes: Uint8Array) => void;
}): BackendUnderTest {
  return {
    name: "wasm, altered",
    create(needs, maxTokens) {
      const backend = relaxed.create(needs, maxTokens);
      return {
        ...backend,
        async read(x, into) {
          const found = await backend.read(x, into);
          rows(found);
          return found;
        },
        async readState(of: State) {
          const found = await backend.readState(of);
          state(found);
          return found;
        },
      };
    },
  };
}
