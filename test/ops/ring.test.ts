/** How the attention ring rounds: every half and what lies between two of them, heads of every size in i8, and where rows go. */

import { describe, expect, test } from "vitest";
import { f16ToF32 } from "../../shared/backend/dtype.ts";
import { FIRST_FREE_BYTE, instantiate, type Kernels } from "../../shared/backend/wasm/kernels.ts";
import { kernelModules } from "./conformance.ts";
import { normals, seeded } from "./seeded.ts";

// The numbers of assembly/ring.ts.
const [F32, F16, I8] = [0, 1, 2];

describe.each([
  { name: "relaxed", module: kernelModules.relaxed! },
  { name: "baseline", module: kernelModules.baseline },
])("$name", ({ module }) => {
  test("every finite half is stored and read back as it is", () => {
    const { stored, loaded } = throughRing(module, F16, allHalves());
    expect(new Uint16Array(stored)).toStrictEqual(Uint16Array.from({ length: 0x7c00 * 2 }, (_, i) => halfAt(i)));
    expect(loaded).toStrictEqual(allHalves());
  });

  test("a number between two halves goes to the nearer one, and from the middle to the even one", () => {
    const bits = new Float32Array(1);
    const view = new Uint32Array(bits.buffer);
    const numbers: number[] = [];
    const expected: number[] = [];
    for (let half = 0; half < 0x7bff; half++) {
      const middle = (f16ToF32(half) + f16ToF32(half + 1)) / 2; // exact in f32
      bits[0] = middle;
      for (const step of [-1, 0, 1]) {
        const number = new Float32Array(Uint32Array.of(view[0] + step).buffer)[0];
        const nearest = step < 0 || (step === 0 && half % 2 === 0) ? half : half + 1;
        numbers.push(number, -number);
        expected.push(nearest, nearest | 0x8000);
      }
    }
    numbers.push(65519, -65519); // below the middle between the largest half and what would be the next
    expected.push(0x7bff, 0xfbff);
    const { stored } = throughRing(module, F16, Float32Array.from(numbers));
    expect(new Uint16Array(stored)).toStrictEqual(Uint16Array.from(expected));
  });

  test("an i8 head has a scale of max |x| / 127 and the nearest integers, ties to even", () => {
    const head = Float32Array.of(127, 0.5, 1.5, -2.5, 126.5, -126.5, -127, 63.25);
    const { stored, loaded, scale } = throughRing(module, I8, head);
    expect(scale).toBe(1);
    expect([...new Int8Array(stored)]).toStrictEqual([127, 0, 2, -2, 126, -126, -127, 63]);
    expect([...loaded]).toStrictEqual([127, 0, 2, -2, 126, -126, -127, 63]);
  });

  test("whatever an i8 head's size, half a step is the most it is off", () => {
    for (const size of [1e-44, 1e-40, 1e-30, 1e-3, 1, 1e30]) {
      const head = normals(seeded(1), 64, size);
      const { loaded, scale } = throughRing(module, I8, head);
      expect(scale).toBe(Math.fround(Math.max(...head.map(Math.abs)) / 127));
      for (const [at, x] of head.entries()) {
        const off = Math.abs(loaded[at] - x);
        // A subnormal scale is rounded itself, by up to half of the least subnormal for each of 127 steps; 0 stands for zeros.
        expect(off, `${x} of ${size}`).toBeLessThanOrEqual(scale * 0.50001 + 64 * 2 ** -149);
      }
    }
    expect([...throughRing(module, I8, new Float32Array(4)).loaded]).toStrictEqual([0, 0, 0, 0]);
  });

  test("position p lies in slot p mod W, head by head", () => {
    const [W, G, K] = [3, 2, 4];
    const { kernels, memory } = fresh(module);
    const [rows, to, row] = [FIRST_FREE_BYTE, FIRST_FREE_BYTE + 4096, FIRST_FREE_BYTE + 8192];
    for (let position = 7; position < 12; position++) {
      new Float32Array(memory.buffer, row, G * K).set(Array.from({ length: G * K }, (_, i) => position * 100 + i));
      kernels.ringStore(rows, 0, F32, W, G, K, position, row);
    }
    const slots = new Float32Array(memory.buffer, rows, W * G * K);
    expect([0, 1, 2].map((slot) => slots[slot * G * K])).toStrictEqual([900, 1000, 1100]);
    for (const g of [0, 1]) {
      kernels.ringLoad(rows, 0, F32, W, G, K, g, 9, 3, to);
      expect([...new Float32Array(memory.buffer, to, 3 * K)]).toStrictEqual(
        [9, 10, 11].flatMap((position) => [0, 1, 2, 3].map((d) => position * 100 + g * K + d)),
      );
    }
  });
});

const halfAt = (i: number): number => (i < 0x7c00 ? i : 0x8000 + i - 0x7c00);
const allHalves = (): Float32Array => Float32Array.from({ length: 0x7c00 * 2 }, (_, i) => f16ToF32(halfAt(i)));

function fresh(module: WebAssembly.Module): { kernels: Kernels; memory: WebAssembly.Memory } {
  const memory = new WebAssembly.Memory({ initial: 64 });
  return { kernels: instantiate(module, memory), memory };
}

/** One row of one head, stored and loaded again. */
function throughRing(module: WebAssembly.Module, dtype: number, numbers: Float32Array) {
  const { kernels, memory } = fresh(module);
  const K = numbers.length;
  const [rows, row, to, scales] = [1, 15, 35, 55].map((pages) => pages * FIRST_FREE_BYTE);
  new Float32Array(memory.buffer, row, K).set(numbers);
  kernels.ringStore(rows, scales, dtype, 1, 1, K, 5, row);
  kernels.ringLoad(rows, scales, dtype, 1, 1, K, 0, 5, 1, to);
  const loaded = new Float32Array(memory.buffer, to, K).slice();
  // This call's own rows are rounded by another kernel, to the same numbers.
  kernels.ringRound(dtype, row, 1, 1, K, 0, rows, to);
  expect(new Float32Array(memory.buffer, to, K)).toStrictEqual(loaded);
  return {
    stored: memory.buffer.slice(rows, rows + K * (dtype === F16 ? 2 : 1)),
    loaded,
    scale: new Float32Array(memory.buffer, scales, 1)[0],
  };
}
