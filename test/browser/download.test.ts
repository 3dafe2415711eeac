/** A bundle on its way into a browser: whatever breaks off, is taken away or damaged, it ends up whole, and nothing is fetched twice. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { defaultModel, defaultManifest as manifest } from "../e2e/default-model.ts";
import { Runtime } from "../e2e/runtime.ts";
import { browse, isSkipped } from "./chromium.ts";
import { HarnessPage, type Outcome } from "./harness-page.ts";
import { Link } from "./link.ts";
import { putTwoShards } from "./two-shards.ts";

const browser = browse({ hasWebgpu: false });
const model = defaultModel.id;
const shards = manifest.shards;
const weightBytes = shards.reduce((sum, { bytes }) => sum + bytes, 0);
const last = shards.at(-1)!;

let runtime: Runtime;
let key: string;
let link: Link;
beforeAll(async () => {
  if (isSkipped) return;
  const models = [
    { id: model, source: "assets", path: defaultModel.path, download: true },
    { id: "two-shards", source: "r2", path: "two-shards", download: true },
  ];
  runtime = await Runtime.start({ requestsPerMinute: 100_000, vars: { AERIE_MODELS: JSON.stringify(models) } });
  key = await runtime.key();
});
afterAll(() => runtime?.stop());
beforeEach(async () => {
  link = await Link.to(runtime.url);
});
afterEach(async () => {
  for (const page of browser.context.pages()) await page.close();
  await link.close();
});

const open = () => HarnessPage.open(browser.context, link, { key, model });
const load = (page: HarnessPage) => page.load({ key, model });
const servedBytes = () => link.served.reduce((sum, { bytes }) => sum + bytes, 0);

function expectLoaded(outcome: Outcome): Extract<Outcome, { ok: true }>["result"] {
  expect(outcome).toMatchObject({ ok: true, result: { model, digest: manifest.digest, weightBytes } });
  return (outcome as Extract<Outcome, { ok: true }>).result;
}

/** Every file, of the right size. That the bytes are right is what loading checks. */
async function expectComplete(page: HarnessPage): Promise<void> {
  const stored = await page.stored();
  for (const { file, bytes } of [...manifest.files, ...shards]) expect(stored[file], file).toBe(bytes);
  expect(stored["manifest.json"]).toBeGreaterThan(0);
}

describe.skipIf(isSkipped)("a bundle in the browser", () => {
  test("by the page's buttons: the first load fetches each byte once, the second none", async () => {
    const page = await HarnessPage.open(browser.context, link, { key });
    expect(page.page.url(), "the key does not stay in the address").not.toContain(key);
    await page.press("Load");
    await page.waitFor("Ready.");
    expect(await page.page.getByLabel("Model").inputValue(), "the server's default").toBe(model);
    expect(servedBytes()).toBe(weightBytes);
    expect(await page.result("backend")).toBe("wasm (no WebGPU adapter)");
    await expectComplete(page);
    await page.page.reload();
    await page.press("Load");
    await page.waitFor("Ready.");
    expect(await page.result("load")).toMatch(/^0\.00 MB fetched, then \d+ ms/);
    expect(servedBytes()).toBe(weightBytes);
  });

  test("cut off at 30 %, the page closed at 70 %: the rest is fetched, and only that", async () => {
    link.cutAfter(Math.round(0.3 * weightBytes));
    const first = await open();
    await first.press("Load");
    await first.waitFor("The download broke off");
    let stored = await first.stored();
    expect(stored["manifest.json"], "an interrupted download does not look complete").toBeUndefined();
    const at30 = shards.reduce((sum, { file }) => sum + (stored[file] ?? 0), 0);
    expect(at30).toBe(Math.round(0.3 * weightBytes));

    const hangs = link.hangAfter(Math.round(0.7 * weightBytes) - at30);
    await first.press("Resume");
    await hangs;
    await first.close();

    const second = await open();
    stored = await second.stored();
    const at70 = shards.reduce((sum, { file }) => sum + (stored[file] ?? 0), 0);
    expect(stored["manifest.json"]).toBeUndefined();
    expect(at70).toBe(Math.round(0.7 * weightBytes));
    const { fetchedBytes } = expectLoaded(await load(second));
    expect(fetchedBytes).toBe(weightBytes - at70); // the small files came before
    expect(servedBytes(), "no byte of the weights was sent twice").toBe(weightBytes);
    await expectComplete(second);
  });

  test("cancelled in the middle, it goes on where it was", async () => {
    const hangs = link.hangAfter(weightBytes >> 1);
    const page = await open();
    await page.press("Load");
    await hangs;
    await page.press("Cancel");
    await page.waitFor("Cancelled.");
    expectLoaded(await load(page));
    expect(link.served.at(-1)?.from ?? 0).toBeGreaterThan(0);
    expect(servedBytes()).toBe(weightBytes);
  });

  test("a damaged shard is refused and fetched again, that one alone", async () => {
    const page = await open();
    expectLoaded(await load(page));
    await page.damage(last.file, "flip a byte");
    const { fetchedBytes } = expectLoaded(await load(page));
    expect(fetchedBytes).toBe(last.bytes);
    expect(link.served.at(-1)).toStrictEqual({ file: last.file, from: 0, bytes: last.bytes });
  });

  test("a bundle of two shards: cut off in the second, then the first damaged", async () => {
    const { shards } = await putTwoShards(runtime, "two-shards");
    expect(shards.length).toBe(2);
    const [first, second] = shards;
    link.cutAfter(first.bytes + 1_000_000);
    const page = await open();
    const two = { key, model: "two-shards" };
    expect(await page.load(two)).toMatchObject({ ok: false, code: "bundle.interrupted" });
    expect(await page.load(two)).toMatchObject({ ok: true, result: { fetchedBytes: second.bytes - 1_000_000 } });
    expect(link.served.map(({ file, from }) => [file, from])).toStrictEqual([
      [first.file, 0],
      [second.file, 0],
      [second.file, 1_000_000],
    ]);
    await page.damage(first.file, "flip a byte");
    expect(await page.load(two)).toMatchObject({ ok: true, result: { fetchedBytes: first.bytes } });
  });

  test("what the browser took away is noticed and fetched again", async () => {
    const page = await open();
    expectLoaded(await load(page));
    await page.damage(last.file, "remove");
    expect(expectLoaded(await load(page)).fetchedBytes).toBe(last.bytes);
    await page.damage(last.file, "cut in half");
    expect(expectLoaded(await load(page)).fetchedBytes).toBe(last.bytes - (last.bytes >> 1));
    await expectComplete(page);
  });

  test("a partial file that was damaged meanwhile does not spoil the whole", async () => {
    link.cutAfter(weightBytes - (last.bytes >> 2));
    const page = await open();
    expect(await load(page)).toMatchObject({ ok: false, code: "bundle.interrupted" });
    await page.damage(last.file, "flip a byte");
    expectLoaded(await load(page));
    expect(link.served.at(-1), "fetched anew from its beginning").toStrictEqual({
      file: last.file,
      from: 0,
      bytes: last.bytes,
    });
  });

  test("two tabs at once fetch it once", async () => {
    const [one, other] = [await open(), await open()];
    const outcomes = await Promise.all([load(one), load(other)]);
    for (const outcome of outcomes) expectLoaded(outcome);
    expect(servedBytes()).toBe(weightBytes);
    await expectComplete(other);
  });

  test("a server that knows no ranges sends it all again, and that is right too", async () => {
    link.cutAfter(weightBytes - (last.bytes >> 1));
    const page = await open();
    expect(await load(page)).toMatchObject({ ok: false, code: "bundle.interrupted" });
    link.knowsRanges = false;
    expectLoaded(await load(page));
    expect(link.served.at(-1)).toStrictEqual({ file: last.file, from: 0, bytes: last.bytes });
  });

  test("bytes that are not the manifest's are refused, and the next attempt is not poisoned", async () => {
    link.tamper = (bytes) => {
      const changed = Buffer.from(bytes);
      changed[0] ^= 1;
      return changed;
    };
    const page = await open();
    const outcome = await load(page);
    expect(outcome).toMatchObject({ ok: false, code: "checkpoint.value" });
    expect((outcome as { message: string }).message).toContain(shards[0].sha256);
    expect((await page.stored())["manifest.json"]).toBeUndefined();
    link.tamper = null;
    expectLoaded(await load(page));
  });

  test("a server in trouble does not take away what is here, one that refuses does not hand it out again", async () => {
    const page = await open();
    expectLoaded(await load(page));
    for (const status of [429, 503]) {
      link.status = status;
      expect(expectLoaded(await load(page)).isOffline, `${status}`).toBe(true);
    }
    link.status = 401;
    expect(await load(page)).toMatchObject({ ok: false, code: "bundle.unauthorized" });
    link.status = null;
    expect(expectLoaded(await load(page)).isOffline).toBe(false);
  });

  test("a wrong key, a model that is not there, no room, no server: a sentence that says what to do", async () => {
    const page = await open();
    const wrongKey = await page.load({ key: `${key.slice(0, -1)}${key.endsWith("0") ? "1" : "0"}`, model });
    expect(wrongKey).toMatchObject({ ok: false, code: "bundle.unauthorized" });
    expect(await page.load({ key, model: "no-such-model" })).toMatchObject({ ok: false, code: "bundle.unknown-model" });

    const devtools = await browser.context.newCDPSession(page.page);
    await devtools.send("Storage.overrideQuotaForOrigin", { origin: link.url, quotaSize: weightBytes >> 1 });
    expect(await load(page)).toMatchObject({ ok: false, code: "bundle.quota" });
    await devtools.send("Storage.overrideQuotaForOrigin", { origin: link.url });
    expect((await page.stored())["manifest.json"]).toBeUndefined();

    await link.close();
    expect(await load(page)).toMatchObject({ ok: false, code: "bundle.unreachable" });
  });
});
