/** exp and its family against f64: the error in ULP that each docstring of vector-math.ts states is the one measured here. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { FIRST_FREE_BYTE, instantiate } from "../../shared/backend/wasm/kernels.ts";
import { kernelModules } from "./conformance.ts";

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const gelu = (x: number): number => x * sigmoid(2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3));

interface MathCase {
  readonly name: string; // of the function in vector-math.ts
  readonly which: number; // in `vectorMath`
  readonly exact: (x: number) => number;
  /** Where the bound in ULP holds. */
  readonly from: number;
  readonly to: number;
  /** Of all f32 from 2⁻¹³ to 2⁷, tried once, the one with the largest error. */
  readonly worst: number;
}

const MOST = 1e30;
const cases: MathCase[] = [
  { name: "exp4", which: 0, exact: Math.exp, from: -87.3, to: 88.3, worst: -27.379201889038086 },
  { name: "expm14", which: 1, exact: Math.expm1, from: -MOST, to: 88.3, worst: 0.34775716066360474 },
  { name: "sigmoid4", which: 2, exact: sigmoid, from: -87.3, to: MOST, worst: -16.635704040527344 },
  { name: "tanh4", which: 3, exact: Math.tanh, from: -MOST, to: MOST, worst: 0.06218792125582695 },
  { name: "geluTanh4", which: 4, exact: gelu, from: -MOST, to: MOST, worst: -2.983757495880127 },
  { name: "silu4", which: 5, exact: (x) => x * sigmoid(x), from: -87.3, to: MOST, worst: -16.68376922607422 },
];

const modules = [kernelModules.baseline, kernelModules.relaxed!];
const docstrings = readFileSync(
  fileURLToPath(new URL("../../shared/backend/wasm/assembly/vector-math.ts", import.meta.url)),
  "utf8",
);

describe.each(cases)("$name", ({ name, which, exact, from, to, worst }) => {
  // GELU's smallest results are judged by their absolute error below.
  const isJudged = (x: number) => x >= from && x <= to && (name !== "geluTanh4" || Math.abs(exact(x)) >= 1e-3);

  test("the error in ULP is as stated", () => {
    const stated = statedBound(name);
    const xs = Float32Array.from([worst, ...grid(), ...specialPlaces]).filter(isJudged);
    const found = evaluate(which, xs);
    let largest = { ulp: 0, x: 0, found: 0 };
    for (const [at, x] of xs.entries()) {
      const ulp = Math.abs(found[at] - exact(x)) / spacing(exact(x));
      if (!(ulp <= largest.ulp)) largest = { ulp, x, found: found[at] };
    }
    const seen = `${largest.ulp} ULP at ${largest.x}: expected ${exact(largest.x)}, found ${largest.found}`;
    expect(largest.ulp, seen).toBeLessThanOrEqual(stated);
    expect(largest.ulp, `${seen}; ${stated} is stated`).toBeGreaterThan(stated > 10 ? stated - 1 : stated - 0.1);
  });

  test("both modules give the same bits", () => {
    const xs = Float32Array.from([...grid(), ...specialPlaces, ...beyond]);
    const [one, other] = modules.map((_, module) => new Uint32Array(evaluate(which, xs, module).buffer));
    expect(one).toStrictEqual(other);
  });

  test("NaN stays NaN", () => {
    const found = [...evaluate(which, Float32Array.of(Number.NaN, 1, Number.NaN, -1))];
    expect(found.map(Number.isNaN)).toStrictEqual([true, false, true, false]);
  });
});

describe("where the results end", () => {
  const at = (which: number, ...xs: number[]): number[] => [...evaluate(which, Float32Array.from(xs))];

  test("exp and expm1 are held at the ends of the normal range", () => {
    const [least, most] = [1.1754943508222875e-38, 2.4061436e38];
    for (const x of [88.4, 1000, 3e38, Number.POSITIVE_INFINITY]) {
      for (const which of [0, 1]) expect(at(which, x)[0] / most).toBeCloseTo(1, 6);
    }
    for (const x of [-87.4, -88.4, -1000, -3e38, Number.NEGATIVE_INFINITY]) {
      expect(at(0, x)[0] / least).toBeCloseTo(1, 4);
      expect(at(1, x)).toStrictEqual([-1]);
    }
  });

  test("σ goes from next to nothing to 1, tanh from −1 to 1, through 0", () => {
    for (const x of [-88.4, -1000, Number.NEGATIVE_INFINITY]) {
      expect(at(2, x)[0]).toBeGreaterThan(0);
      expect(at(2, x)[0]).toBeLessThan(4.2e-39);
    }
    for (const x of [17, 1000, 3e38, Number.POSITIVE_INFINITY]) {
      expect(at(2, x)).toStrictEqual([1]);
      expect(at(3, x, -x)).toStrictEqual([1, -1]);
    }
    expect(at(3, 0, -0, 2 ** -149, -(2 ** -149))).toStrictEqual([0, -0, 2 ** -149, -(2 ** -149)]);
  });

  test("GELU and SiLU are x far above 0, and next to nothing far below", () => {
    for (const which of [4, 5]) {
      expect(at(which, 0, -0, 100, 1e30, Number.POSITIVE_INFINITY)).toStrictEqual([
        0,
        -0,
        100,
        Math.fround(1e30),
        Number.POSITIVE_INFINITY,
      ]);
      for (const x of [-88.4, -1000, -1e30]) {
        expect(at(which, x)[0]).toBeLessThanOrEqual(0);
        expect(at(which, x)[0]).toBeGreaterThanOrEqual(4.2e-39 * x);
      }
    }
  });

  test("a GELU below 1e-3 is off by 1.2e-9 at most", () => {
    const xs = grid().filter((x) => Math.abs(gelu(x)) < 1e-3 && Math.abs(x) < 1e29);
    const found = evaluate(4, xs);
    const errors = Array.from(xs, (x, i) => Math.abs(found[i] - gelu(x)));
    expect(errors.reduce((a, b) => Math.max(a, b))).toBeLessThan(1.2e-9);
  });
});

/** The bound that stands in the docstring right before a function. */
function statedBound(name: string): number {
  const before = docstrings.slice(0, docstrings.indexOf(`function ${name}(`));
  return Number(before.slice(before.lastIndexOf("/**")).match(/Error ≤ ([\d.]+) ULP/)?.[1]);
}

/** Between neighbouring f32 at x: what a ULP is. */
function spacing(x: number): number {
  const exponent = Math.max(-126, Math.floor(Math.log2(Math.abs(x)))); // an exact power of two is on its own side
  return 2 ** (exponent - 23);
}

/** A hundred thousand places between −100 and 100, and as many on a scale of orders of magnitude, both signs. */
function grid(): Float32Array {
  const count = 100_000;
  const even = Array.from({ length: count }, (_, i) => ((i + 0.5) / count) * 200 - 100);
  const orders = Array.from({ length: count / 2 }, (_, i) => 10 ** (((i + 0.5) / (count / 2)) * 70 - 40));
  return Float32Array.from([...even, ...orders, ...orders.map((x) => -x)]);
}

/** Zeros, the smallest numbers, and both sides of where something changes. */
const specialPlaces = [
  0, 2 ** -149, 2 ** -127, 2 ** -126, 2 ** -24, 2 ** -12, 0.34657358, 0.34657362, 0.5, Math.LN2, 1, 8, 9, 16, 17, 87, 87.3, 88.3,
].flatMap((x) => [x, -x]); // biome-ignore format: numbers

const beyond = [87.33654, 87.33655, 88.37626, 88.37627, 88.4, 88.8, 1000, 1e38, Number.POSITIVE_INFINITY].flatMap(
  (x) => [x, -x],
);

/** `vectorMath` over any number of numbers. */
function evaluate(which: number, xs: Float32Array, module = 0): Float32Array {
  const n = Math.ceil(xs.length / 4) * 4;
  const memory = new WebAssembly.Memory({ initial: 2 + Math.ceil((8 * n) / 65_536) });
  const kernels = instantiate(modules[module], memory);
  new Float32Array(memory.buffer, FIRST_FREE_BYTE, xs.length).set(xs);
  kernels.vectorMath(which, FIRST_FREE_BYTE, FIRST_FREE_BYTE + 4 * n, n);
  return new Float32Array(memory.buffer, FIRST_FREE_BYTE + 4 * n, xs.length).slice();
}
