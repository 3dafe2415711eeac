/** What WGSL leaves open to a GPU and this machine's adapter does well: here it is done as badly as is allowed. */

import { describe, expect, test } from "vitest";
import { loadKernelSources, nodeGpu } from "../../cli/webgpu.ts";
import { tryDevice, webgpuBackend } from "../../shared/backend/webgpu/index.ts";
import { gpu } from "../backends.ts";
import { type Activations, asEmbedding, compare, countFrom, loadActivations, roomyConfig } from "../ops/conformance.ts";

describe.skipIf(!gpu)("a GPU whose division by more than 2^126 gives 0", () => {
  // e^2x / (e^2x + 2) was 0 there from 43.7 caps on: the largest logit became the middle one.
  test("caps numbers of any size", async () => {
    const sizes = [1, 10, 30, 40, 43.6, 43.8, 44.2, 45, 100, 1e4, 1e30, 3.4e38];
    const values = Float32Array.from([...sizes, ...sizes.map((x) => -x)].flatMap((x) => [x, x * 30]));
    const x: Activations = { rows: 1, columns: values.length, values };
    const cap = 30;
    const found = await softCapped(x, cap);
    const expected = values.map((x) => cap * Math.tanh(x / cap));
    expect(compare(found, expected).nmse).toBeLessThan(6e-14); // test/ops/soft-cap.test.ts
  });
});

async function softCapped(x: Activations, cap: number): Promise<Float32Array> {
  const opened = await tryDevice(await nodeGpu(), withBadDivision());
  const needs = {
    weights: [asEmbedding(x)],
    config: roomyConfig(x.columns),
    stateLayout: { blocks: [], recurrentBytes: 0, bytes: 0 },
  };
  const backend = webgpuBackend(opened!, needs, { maxTokens: 1 });
  const table = await loadActivations(backend, x);
  return backend.scope(() => {
    const row = backend.embed(table, countFrom(0, 1), 1);
    backend.softCap(row, cap);
    return backend.read(row);
  });
}

/** The kernels with a function in the place of every f32 division of math.wgsl. */
function withBadDivision(): Record<string, string> {
  const { math, ...others } = loadKernelSources();
  const divided = math.replaceAll(/(\w+) \/ (\((?:[^()]|\([^()]*\))*\))/g, "badly($1, $2)");
  expect(divided).toContain("badly(e, (e + 2f))");
  const badly = "fn badly(a: f32, b: f32) -> f32 { return select(a / b, 0f, abs(b) > 0x1p126f); }\n";
  return { ...others, math: badly + divided };
}
