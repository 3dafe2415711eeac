/** The model on WebGPU in Chromium, against WASM on the same page, from the same stored bytes. */

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defaultModel } from "../e2e/default-model.ts";
import { serve } from "../e2e/served.ts";
import { browse, isSkipped } from "./chromium.ts";
import { HarnessPage, type Run } from "./harness-page.ts";
import { Link } from "./link.ts";

const TOKENS = 64;
const prompt = "Once upon a time";
const SOFTWARE_ADAPTER = /^webgpu: google swiftshader/; // what Chromium brings along; a speed from it says nothing

// Both round activations to int8 before a product with rg8 or rg4, and sum in another order before that. Until a value on the edge
// falls to the other side the logits differ by 1e-14; from then on the state carries it along, and they differ by about as much as
// the rounding itself costs: rg8 is 3e-4 from f32 here. In f32 alone it would be 1e-12.
const MAX_NMSE = 1e-3;

const browser = browse({ hasWebgpu: true });
const model = defaultModel.id;

const served = serve();
let link: Link;
beforeAll(async () => {
  link = await Link.to(served.runtime.url);
});
afterAll(() => link.close());

/** Σ(a − b)² / Σ b² */
function nmse(found: Float32Array, expected: Float32Array): number {
  let [error, power] = [0, 0];
  for (const [at, value] of expected.entries()) {
    error += (found[at] - value) ** 2;
    power += value ** 2;
  }
  return error / power;
}

describe.skipIf(isSkipped)("the model in the browser, with a WebGPU adapter", () => {
  let page: HarnessPage;
  let onWasm: Run;

  const load = async (backend?: "webgpu" | "wasm") => {
    const outcome = await page.load({ key: served.key, model }, backend);
    expect(outcome).toMatchObject({ ok: true });
    return (outcome as Extract<typeof outcome, { ok: true }>).result;
  };

  test("an adapter that is software is not taken for a GPU, unless that is asked for", async () => {
    page = await HarnessPage.open(browser.context, link, { key: served.key, model });
    expect((await load()).backend).toMatch(/^wasm \(the WebGPU adapter is software: google swiftshader/);
    onWasm = await page.run({ prompt, maxTokens: TOKENS });
    const { backend, kernels } = await load("webgpu");
    console.log(`adapter in Chromium: ${backend}`);
    expect(backend).toMatch(SOFTWARE_ADAPTER);
    expect(kernels).toContain("webgpu");
  });

  test("greedy tokens: WebGPU's logits are WASM's", async () => {
    const onWebgpu = await page.run({ prompt, maxTokens: TOKENS, follow: onWasm.ids });
    const error = nmse(onWebgpu.logits, onWasm.logits);
    const agreeing = onWebgpu.ids.filter((id, at) => id === onWasm.ids[at]).length;
    console.log(
      `${model} on WebGPU against WASM: NMSE of the logits ${error.toExponential(1)}, ${agreeing} of ${TOKENS} ids agree; ` +
        `${onWebgpu.decodeTokensPerSecond.toFixed(0)} tokens/s on a software adapter`,
    );
    expect(error).toBeLessThan(MAX_NMSE);
    expect(agreeing).toBeGreaterThanOrEqual(TOKENS - 1);
  });

  test("a state moves from WASM to WebGPU and back: the conversation goes on", async () => {
    const [first, second] = [20, 44]; // where it moves
    await load("wasm");
    const start = await page.run({ prompt, maxTokens: first });
    await load("webgpu");
    const middle = await page.run({
      prompt: start.ids.slice(-1),
      maxTokens: second - first,
      state: start.state,
      follow: onWasm.ids.slice(first),
    });
    await load("wasm");
    const end = await page.run({
      prompt: [onWasm.ids[second - 1]],
      maxTokens: TOKENS - second,
      state: middle.state,
      follow: onWasm.ids.slice(second),
    });
    expect(middle.state.position).toBe(onWasm.promptIds.length + second - 1);
    expect(end.state.position).toBe(onWasm.state.position);
    for (const { bytes } of [middle.state, end.state]) expect(bytes.length).toBe(onWasm.state.bytes.length);
    const error = nmse(joined([start, middle, end]), onWasm.logits);
    console.log(`${model} from WASM to WebGPU and back: NMSE of the logits ${error.toExponential(1)}`);
    expect(error).toBeLessThan(MAX_NMSE);
  });

  test("the server gone and the page reloaded: it still runs, kernels and all", async () => {
    await load("webgpu");
    const before = await page.run({ prompt, maxTokens: 8 });
    await page.reloadWithoutServer();
    await page.page.getByLabel("Backend").selectOption("webgpu");
    await page.press("Load");
    await page.waitFor("Ready, from this browser's storage");
    expect(await page.result("backend")).toMatch(SOFTWARE_ADAPTER);
    const after = await page.run({ prompt, maxTokens: 8 });
    expect(after.ids).toStrictEqual(before.ids);
    expect(after.logits).toStrictEqual(before.logits);
  });
});

function joined(runs: readonly Run[]): Float32Array {
  return Float32Array.from(runs.flatMap(({ logits }) => [...logits]));
}
