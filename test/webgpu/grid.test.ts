/** Grids that hang over: beyond 32,768 workgroups a dispatch is cut into rows of so many, and the last row is rarely full. */

import { describe, expect, test } from "vitest";
import { Commands } from "../../shared/backend/webgpu/commands.ts";
import { Faults } from "../../shared/backend/webgpu/faults.ts";
import { workgroups } from "../../shared/backend/webgpu/grid.ts";
import { type Kernel, kernels } from "../../shared/backend/webgpu/kernels.ts";
import { Memory } from "../../shared/backend/webgpu/memory.ts";
import { Readback } from "../../shared/backend/webgpu/readback.ts";
import { gpu } from "../backends.ts";

const NUMBERS = 2048; // in each buffer, all of them 1
const UNTOUCHED = Array(NUMBERS).fill(1);
const NO_TABLE = 0xffffffff;

test("a grid of more workgroups than a row holds covers all of them", () => {
  for (const count of [1, 32_768, 32_769, 100_000]) {
    const [x, y, z] = workgroups(count);
    expect(x * y * z).toBeGreaterThanOrEqual(count);
    expect(x * (y - 1) * z).toBeLessThan(count);
  }
});

// They went on into what lies behind: attention's, into the totals that others had just written.
describe.skipIf(!gpu)("workgroups beyond the last row change nothing", () => {
  test("RMSNorm", async () => {
    const [x, y, T, D] = [0, 64, 2, 32];
    const { arena } = await dispatched(kernels.rmsNorm.workgroups, [x, y, T, D, 0], 2 * T);
    expect(arena.slice(y, y + T * D)).not.toContain(1);
    expect(arena.fill(1, y, y + T * D)).toStrictEqual(UNTOUCHED);
  });

  test.each(["rg8", "rg4"] as const)("activations as int8, %s", async (form) => {
    const [x, q, rows, columns] = [0, 0, 2, 64];
    const { quantised } = await dispatched(kernels.activations[form].workgroups, [x, q, rows, columns], 2 * rows);
    const written = rows * (columns / 32) * 12; // words
    expect(quantised[written - 2]).not.toBe(1); // the last scale
    expect(quantised.fill(1, 0, written)).toStrictEqual(UNTOUCHED);
  });

  test("weights of attention", async () => {
    const [T, H, windowKeys, position, scores] = [1, 3, 8, 7, 0];
    const totals = scores + T * H * windowKeys; // where a call has them
    const words = [0, 0, 0, 0, scores, totals, 0, 0, 0, 0, T, H, 1, 4, 8, windowKeys, NO_TABLE, position, 0];
    const { arena } = await dispatched(kernels.ring.f32.workgroups.weigh, words, 2 * T * H);
    expect(arena.slice(totals, totals + T * H)).toStrictEqual(Array(T * H).fill(windowKeys)); // of as many weights of e⁰
    expect(arena.fill(1, totals, totals + T * H)).toStrictEqual(UNTOUCHED);
  });
});

/** What a dispatch of so many workgroups leaves in buffers of ones. */
async function dispatched(kernel: Kernel, words: readonly number[], count: number) {
  if (!gpu) throw new Error("these tests are skipped without an adapter");
  const { device } = gpu;
  const faults = new Faults(device);
  const memory = new Memory(gpu, faults);
  const ones = new Float32Array(NUMBERS).fill(1);
  const create = () => {
    const buffer = memory.buffer({ bytes: 4 * NUMBERS, what: "a test", advice: "none" });
    device.queue.writeBuffer(buffer, 0, ones);
    return buffer;
  };
  const [arena, quantised, weight] = [create(), create(), create()];
  const commands = new Commands(gpu, faults, memory, { arena, quantised }, 16);
  const readback = new Readback(gpu, faults, memory, commands);
  const group = memory.group("weight", [{ buffer: weight }, { buffer: weight }, { buffer: weight }]);
  commands.dispatch(kernel, { weight: group }, [count, 1, 1], words);
  const numbersOf = (bytes: ArrayBuffer) => [...new Float32Array(bytes)];
  const read = [arena, quantised].map((buffer) => readback.read(buffer, 0, 4 * NUMBERS, numbersOf));
  const [inArena, inQuantised] = await Promise.all(read);
  readback.close();
  memory.close();
  return { arena: inArena, quantised: inQuantised };
}
