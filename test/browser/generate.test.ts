/** The model in Chromium: on WASM it computes what it computes in Node, bit for bit, also without a server. */

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sha256Hasher } from "../../cli/bundle-folder.ts";
import { loadKernels } from "../../cli/kernels.ts";
import { nodeFolder } from "../../cli/node-folder.ts";
import { wasmBackend } from "../../shared/backend/wasm/index.ts";
import { createState, type Model, prefill, step } from "../../shared/engine.ts";
import { loadModel } from "../../shared/load-model.ts";
import { loadTokenizer } from "../../shared/load-tokenizer.ts";
import { defaultFolder, defaultManifest, defaultModel } from "../e2e/default-model.ts";
import { serve } from "../e2e/served.ts";
import { browse, isSkipped } from "./chromium.ts";
import { HarnessPage, type Run } from "./harness-page.ts";
import { Link } from "./link.ts";

const TOKENS = 64;
const prompt = "Once upon a time";

const browser = browse({ hasWebgpu: false });
const model = defaultModel.id;
const folder = nodeFolder(defaultFolder);

/** The same tokens in Node: every logit. */
async function inNode(follow?: readonly number[]): Promise<{ ids: number[]; logits: Float32Array }> {
  const loaded: Model = await loadModel(folder, (needs) => wasmBackend(loadKernels(), needs), {
    createHasher: sha256Hasher,
  });
  const text = await loadTokenizer(folder);
  const promptIds = text!.tokenizer.encode(prompt);
  const { vocabSize } = defaultManifest.config;
  const logits = new Float32Array(TOKENS * vocabSize);
  const ids: number[] = [];
  const state = createState(loaded);
  for (let next = await prefill(loaded, state, promptIds); ; next = await step(loaded, state, ids.at(-1)!)) {
    logits.set(next, ids.length * vocabSize);
    ids.push(follow?.[ids.length] ?? next.indexOf(Math.max(...next)));
    if (ids.length === TOKENS) return { ids, logits };
  }
}

describe.skipIf(isSkipped)("the model in the browser, without a WebGPU adapter", () => {
  const served = serve();
  let link: Link;
  beforeAll(async () => {
    link = await Link.to(served.runtime.url);
  });
  afterAll(async () => {
    await folder.close();
    await link.close();
  });

  let page: HarnessPage;
  let run: Run;

  test("greedy tokens on WASM: the bits that Node computes", async () => {
    page = await HarnessPage.open(browser.context, link, { key: served.key, model });
    await page.press("Load");
    await page.waitFor("Ready.");
    expect(await page.result("backend")).toBe("wasm (no WebGPU adapter)");
    expect(await page.result("kernels")).toBe("wasm (relaxed SIMD)");
    run = await page.run({ prompt, maxTokens: TOKENS });
    const { ids, logits } = await inNode();
    expect(run.ids).toStrictEqual(ids);
    expect(Buffer.from(run.logits.buffer).equals(Buffer.from(logits.buffer))).toBe(true);
    console.log(
      `${model} in Chromium, ${await page.result("kernels")}: prefill ${run.prefillTokensPerSecond.toFixed(0)}, decode ${run.decodeTokensPerSecond.toFixed(0)} tokens/s`,
    );
  });

  test("by the page's button: text, speeds, first logits", async () => {
    await page.press("Generate");
    await page.waitFor("Done.");
    expect((await page.page.locator("#output").innerText()).length).toBeGreaterThan(20);
    expect(await page.result("decode")).toMatch(/^\d+ tokens, [\d.]+ tokens\/s$/);
    const [first] = (await page.result("logits")).split(", ");
    expect(first).toBe(run.logits[0].toFixed(4));
  });

  test("a state that was saved goes on as if it had not been", async () => {
    const half = TOKENS >> 1;
    const first = await page.run({ prompt, maxTokens: half });
    expect(first.state.bytes.length).toBeGreaterThan(0);
    const second = await page.run({ prompt: first.ids.slice(-1), maxTokens: TOKENS - half, state: first.state });
    expect([...first.ids, ...second.ids]).toStrictEqual(run.ids);
    expect(second.state).toStrictEqual(run.state);
  });

  test("the server gone and the page reloaded: it still runs", async () => {
    await page.reloadWithoutServer();
    await page.press("Load");
    await page.waitFor("Ready, from this browser's storage");
    expect((await page.run({ prompt, maxTokens: TOKENS })).ids).toStrictEqual(run.ids);
  });
});

test("the page's scripts take 60 kB at most, compressed", async () => {
  const { gzipSync } = await import("node:zlib");
  const files = JSON.parse(
    /SHELL_FILES=(\[.*?\])/.exec(
      readFileSync(new URL("../../build/assets/browser/service-worker.js", import.meta.url), "utf8"),
    )?.[1] ?? "[]",
  ) as string[];
  const scripts = ["service-worker.js", ...files.filter((file) => file.endsWith(".js"))];
  expect(scripts.length).toBeGreaterThanOrEqual(3); // the page, its worker, the service worker
  const bytes = scripts.map(
    (file) => gzipSync(readFileSync(new URL(`../../build/assets/browser/${file}`, import.meta.url))).length,
  );
  const sum = bytes.reduce((total, size) => total + size, 0);
  console.log(`the page's scripts: ${sum} bytes gzip`);
  expect(sum).toBeLessThanOrEqual(60_000);
});
