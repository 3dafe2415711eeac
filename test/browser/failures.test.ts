/** What may go wrong in the page after its files are here: a worker that does not start, a GPU that is there and of no use. */

import { describe, expect, test } from "vitest";
import type { BackendKind } from "../../client/web/backends.ts";
import { defaultModel } from "../e2e/default-model.ts";
import { serve } from "../e2e/served.ts";
import { browse, isSkipped } from "./chromium.ts";
import { HarnessPage } from "./harness-page.ts";
import type { Link } from "./link.ts";
import { linkPerTest } from "./link-per-test.ts";

const prompt = "Once upon a time";

const browser = browse({ hasWebgpu: true });
const model = defaultModel.id;

const served = serve();
let link: Link;
linkPerTest(served, browser, (made) => {
  link = made;
});

const open = () => HarnessPage.open(browser.context, link, { key: served.key, model });
const load = (page: HarnessPage, backend: BackendKind) => page.load({ key: served.key, model }, backend);

/** Chromium's software adapter, as if it were none. */
const HARDWARE = `
  Object.defineProperty(GPUAdapterInfo.prototype, "architecture", { get: () => "hardware" });
  Object.defineProperty(GPUAdapterInfo.prototype, "isFallbackAdapter", { get: () => false });
`;

describe.skipIf(isSkipped)("the worker", () => {
  test("did not start, before anything was asked of it: the page says so, and does not wait", async () => {
    link.refusal = { path: /\/assets\/worker-/, status: 404 }; // a page of before a deployment
    const page = await open();
    await page.page.waitForTimeout(500); // its error comes, and nobody waits for it
    await page.press("Load");
    await page.waitFor("The worker failed: it could not be started. Reload the page");
  });

  test("gave an answer that can't be read", async () => {
    await browser.context.addInitScript(() => {
      globalThis.Worker = class extends Worker {
        constructor(url: string | URL, options?: WorkerOptions) {
          super(url, options);
          addEventListener("unreadable", () => this.dispatchEvent(new MessageEvent("messageerror")));
        }
      };
    });
    const page = await open();
    await page.page.evaluate(() => dispatchEvent(new Event("unreadable")));
    await page.press("Load");
    await page.waitFor("The worker failed: its answer can't be read. Reload the page");
  });
});

describe.skipIf(isSkipped)("a GPU that can't run the model", () => {
  const faults = [
    {
      fault: "it gives no device",
      prelude: `GPUAdapter.prototype.requestDevice = async () => { throw new Error("out of devices"); };`,
      code: "gpu.none",
      reason: "the WebGPU device can't be opened: out of devices",
    },
    {
      fault: "it binds too little at a time",
      prelude: `Object.defineProperty(GPUSupportedLimits.prototype, "maxStorageBufferBindingSize", { get: () => 1000 });`,
      code: "gpu.limits",
      reason: "this GPU binds at most 1000",
    },
    {
      fault: "its driver refuses a kernel",
      prelude: `GPUDevice.prototype.createComputePipelineAsync = async () => {
        throw new GPUPipelineError("too many registers", { reason: "internal" });
      };`,
      code: "gpu.kernel",
      reason: "the GPU's driver refused a kernel: too many registers",
    },
  ];

  test.each(faults)("$fault: WASM computes, and the page says why", async ({ prelude, reason }) => {
    link.workerPrelude = HARDWARE + prelude;
    const page = await open();
    await page.press("Load");
    await page.waitFor("Ready.");
    const backend = await page.result("backend");
    expect(backend).toMatch(/^wasm \(/);
    expect(backend).toContain(reason);
    expect((await page.run({ prompt, maxTokens: 2 })).ids.length).toBe(2);
  });

  test.each(faults)("$fault, and it was asked for: a sentence that names another choice", async (fault) => {
    link.workerPrelude = fault.prelude;
    const page = await open();
    const outcome = await load(page, "webgpu");
    expect(outcome).toMatchObject({ ok: false, code: fault.code });
    const { message } = outcome as Extract<typeof outcome, { ok: false }>;
    expect(message).toMatch(/^webgpu was chosen, and can't be used here: choose wasm/);
    expect(message).toContain(fault.reason);
  });
});

describe.skipIf(isSkipped)("a GPU that takes its time", () => {
  const SLOW = `
    const { createComputePipelineAsync } = GPUDevice.prototype;
    let begun = 0;
    GPUDevice.prototype.createComputePipelineAsync = function (descriptor) {
      return begun++ < 3 ? createComputePipelineAsync.call(this, descriptor) : new Promise(() => undefined);
    };
  `;

  test("to compile kernels: the page shows how many are done, and a cancel need not wait for the rest", async () => {
    link.workerPrelude = SLOW;
    const page = await open();
    await page.page.getByLabel("Backend").selectOption("webgpu");
    await page.press("Load");
    await page.waitFor("Compiled 3 of");
    const [done, total] = await page.page
      .getByLabel("Progress")
      .evaluate((bar) => [(bar as HTMLProgressElement).value, (bar as HTMLProgressElement).max]);
    expect(await page.status).toBe(`Compiled ${done} of ${total} kernels`);
    await page.press("Cancel");
    await page.waitFor("Cancelled.");
    expect(await load(page, "wasm"), "the worker goes on").toMatchObject({ ok: true });
  });
});

describe.skipIf(isSkipped)("a GPU that is lost", () => {
  const LOSABLE = `
    const { requestDevice } = GPUAdapter.prototype;
    GPUAdapter.prototype.requestDevice = async function (...descriptor) {
      const device = await requestDevice.apply(this, descriptor);
      new BroadcastChannel("lose the GPU").onmessage = () => device.destroy();
      return device;
    };
  `;

  test("between two replies and within one: the page asks for Load, which brings the model back", async () => {
    link.workerPrelude = LOSABLE;
    const page = await open();
    const generate = page.page.getByRole("button", { name: "Generate" });
    const lose = () => page.page.evaluate(() => new BroadcastChannel("lose the GPU").postMessage(null));
    const tokens = (count: number) => page.page.getByLabel("Tokens").fill(String(count));
    const expectLoss = async () => {
      await page.waitFor("The GPU failed, and the model in its memory is gone: press Load");
      expect(await generate.isDisabled()).toBe(true);
    };
    await page.page.getByLabel("Backend").selectOption("webgpu");
    await page.press("Load");
    await page.waitFor("Ready.");
    await lose();
    await page.press("Generate");
    await expectLoss();

    await page.press("Load");
    await page.waitFor("Ready.");
    await tokens(10_000);
    await page.press("Generate");
    await page.page.waitForFunction(() => document.querySelector<HTMLOutputElement>("#output")?.value !== "");
    await lose();
    await expectLoss();
    expect(await load(page, "wasm"), "the worker goes on").toMatchObject({ ok: true });

    await page.press("Load");
    await page.waitFor("Ready.");
    await tokens(2);
    await page.press("Generate");
    await page.waitFor("Done.");
  });
});

describe.skipIf(isSkipped)("a bundle that is found damaged while it comes into a GPU", () => {
  /** Answers how many bytes of buffers lie on devices that are there. */
  const COUNTED = `
    const memory = new Map();
    const { requestDevice } = GPUAdapter.prototype;
    GPUAdapter.prototype.requestDevice = async function (...descriptor) {
      const device = await requestDevice.apply(this, descriptor);
      memory.set(device, 0);
      return device;
    };
    const { createBuffer, destroy } = GPUDevice.prototype;
    GPUDevice.prototype.createBuffer = function (descriptor) {
      memory.set(this, memory.get(this) + descriptor.size);
      return createBuffer.call(this, descriptor);
    };
    GPUDevice.prototype.destroy = function () {
      memory.delete(this);
      destroy.call(this);
    };
    const channel = new BroadcastChannel("GPU memory");
    channel.onmessage = () => channel.postMessage([...memory.values()].reduce((sum, bytes) => sum + bytes, 0));
  `;

  test("leaves nothing there once it is repaired", async () => {
    link.workerPrelude = COUNTED;
    const page = await open();
    const gpuBytes = () =>
      page.page.evaluate(() => {
        const channel = new BroadcastChannel("GPU memory");
        return new Promise<number>((resolve) => {
          channel.onmessage = ({ data }) => resolve(data as number);
          channel.postMessage(null);
        });
      });
    expect(await load(page, "webgpu")).toMatchObject({ ok: true });
    const once = await gpuBytes();
    expect(once).toBeGreaterThan(1e6);
    await page.damage("weights-00000.bin", "flip a byte");
    expect(await load(page, "webgpu")).toMatchObject({ ok: true });
    expect(await gpuBytes()).toBe(once);
  });
});
