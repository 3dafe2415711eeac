/** A bundle on its way into a browser: whatever breaks off, is taken away or damaged, it ends up whole, and nothing is fetched twice. */

import { beforeAll, describe, expect, test } from "vitest";
import type { Manifest } from "../../shared/checkpoint/bundle-manifest.ts";
import { defaultModel, defaultManifest as manifest } from "../e2e/default-model.ts";
import { serve } from "../e2e/served.ts";
import { browse, isSkipped } from "./chromium.ts";
import { HarnessPage, type Outcome } from "./harness-page.ts";
import type { Link } from "./link.ts";
import { linkPerTest } from "./link-per-test.ts";
import { putBundle, twoShards } from "./made-bundle.ts";

const browser = browse({ hasWebgpu: false });
const model = defaultModel.id;
const shards = manifest.shards;
const weightBytes = shards.reduce((sum, { bytes }) => sum + bytes, 0);
const last = shards.at(-1)!;

const models = [
  { id: model, source: "assets", path: defaultModel.path, download: true },
  ...["two-shards", "changing", "changed"].map((id) => ({ id, source: "r2", path: id, download: true })),
];
const served = serve({ requestsPerMinute: 100_000, vars: { AERIE_MODELS: JSON.stringify(models) } });
let link: Link;
linkPerTest(served, browser, (made) => {
  link = made;
});

const open = () => HarnessPage.open(browser.context, link, { key: served.key, model });
const load = (page: HarnessPage) => page.load({ key: served.key, model });
const servedBytes = () => link.served.reduce((sum, { bytes }) => sum + bytes, 0);

/** Bytes that the origin may store; without a number, what the browser allows. */
const setQuota = async (page: HarnessPage, quotaSize?: number) => {
  const devtools = await browser.context.newCDPSession(page.page);
  await devtools.send("Storage.overrideQuotaForOrigin", { origin: link.url, ...(quotaSize && { quotaSize }) });
};

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
    const { key } = served;
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
    const { shards } = await putBundle(served.runtime, "two-shards", twoShards);
    expect(shards.length).toBe(2);
    const [first, second] = shards;
    link.cutAfter(first.bytes + 1_000_000);
    const page = await open();
    const two = { key: served.key, model: "two-shards" };
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
    const all = [...manifest.files, ...shards];
    for (const { file } of all) await page.damage(file, "remove");
    const bytes = all.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(expectLoaded(await load(page)).fetchedBytes).toBe(bytes);
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
      link.refusal = { path: /./, status };
      expect(expectLoaded(await load(page)).stale, `${status}`).toMatchObject({ newest: null });
    }
    link.refusal = { path: /./, status: 401 };
    expect(await load(page)).toMatchObject({ ok: false, code: "bundle.unauthorized" });
    link.refusal = null;
    expect(expectLoaded(await load(page)).stale).toBeNull();
    await link.close();
    expect(expectLoaded(await load(page)).stale?.reason).toContain("can't be reached");
  });

  describe("a new version on the server", () => {
    const changing = { key: "", model: "changing" };
    let [older, newer]: Manifest[] = [];
    let newerBytes = 0;
    beforeAll(async () => {
      const size = { vocabSize: 14_336, width: 64 }; // just below 4 MiB: Chromium makes room for a file by doubling it
      older = await putBundle(served.runtime, "changing", { ...size, first: 0 });
      newer = await putBundle(served.runtime, "changed", { ...size, first: 1 });
      newerBytes = newer.shards.reduce((sum, { bytes }) => sum + bytes, 0);
      changing.key = served.key;
    });
    const deploy = () => {
      link.rewrite = (path) => path.replace("/v1/models/changing/", "/v1/models/changed/");
    };
    const expectVersion = (outcome: Outcome, { digest }: Manifest, stale: object | null) =>
      expect(outcome).toMatchObject({ ok: true, result: { digest, stale } });

    test("the old one is used until the new one is complete, whatever befalls its download, and then removed", async () => {
      const page = await open();
      expectVersion(await page.load(changing), older, null);
      deploy();
      const { digest } = newer;
      for (const [status, path, reason] of [
        [500, /tokenizer/, "can't hand out tokenizer.json now"],
        [429, /weights/, "Too many requests"],
        [503, /weights/, "can't hand out weights-00000.bin now"],
        [404, /weights/, "can't hand out weights-00000.bin now"], // deployed in between: no word of the model's name
      ] as const) {
        link.refusal = { path, status };
        expectVersion(await page.load(changing), older, {
          newest: digest,
          reason: expect.stringContaining(reason) as string,
        });
      }
      link.refusal = null;

      link.cutsManifests = true;
      const broken = { reason: expect.stringContaining("The download broke off in") as string };
      expectVersion(await page.load(changing), older, { ...broken, newest: null });
      link.cutsManifests = false;

      link.cutAfter(newerBytes >> 1);
      expectVersion(await page.load(changing), older, { ...broken, newest: digest });
      expect(Object.keys(await page.versions()).sort()).toStrictEqual([older.digest, digest].sort());

      const outcome = await page.load(changing);
      expectVersion(outcome, newer, null);
      expect((outcome as Extract<Outcome, { ok: true }>).result.fetchedBytes).toBe(newerBytes - (newerBytes >> 1));
      expect(Object.keys(await page.versions()), "the old one is gone").toStrictEqual([digest]);
    });

    test("a new version that is not what its manifest says takes nothing away", async () => {
      const page = await open();
      expectVersion(await page.load(changing), older, null);
      deploy();
      link.tamper = (bytes) => Buffer.alloc(bytes.length);
      const reason = expect.stringContaining("weights-00000.bin has sha256") as string;
      expectVersion(await page.load(changing), older, { newest: newer.digest, reason });
      link.tamper = null;
      expectVersion(await page.load(changing), newer, null);
    });

    test("the page says which version runs and why; a cancel is no reason to run one", async () => {
      const page = await HarnessPage.open(browser.context, link, changing);
      await page.press("Load");
      await page.waitFor("Ready.");
      deploy();
      link.refusal = { path: /weights/, status: 503 };
      await page.press("Load");
      await page.waitFor("Ready, from this browser's storage");
      expect(await page.status).toBe(
        `Ready, from this browser's storage with version ${older.digest.slice(0, 12)}, not the server's ${newer.digest.slice(0, 12)}. ` +
          "The server can't hand out weights-00000.bin now: start again later. The server said 503.",
      );
      expect(await page.result("model")).toContain(older.digest.slice(0, 12));
      link.refusal = null;
      const hangs = link.hangAfter(newerBytes >> 1);
      await page.press("Load");
      await hangs;
      await page.press("Cancel");
      await page.waitFor("Cancelled.");
    });

    test("no room for both: the old one stays in use, and the new one comes once there is room", async () => {
      const page = await open();
      expectVersion(await page.load(changing), older, null);
      deploy();
      const { usage } = await page.page.evaluate(() => navigator.storage.estimate());
      await setQuota(page, (usage ?? 0) + (newerBytes >> 1));
      const noRoom = { newest: newer.digest, reason: expect.stringContaining("has no room for") as string };
      for (let visit = 0; visit < 2; visit++) expectVersion(await page.load(changing), older, noRoom);
      await setQuota(page);
      expectVersion(await page.load(changing), newer, null);
      expect(Object.keys(await page.versions())).toStrictEqual([newer.digest]);
    });

    test("half of an old one takes no room from it", async () => {
      const page = await open();
      link.cutAfter(newerBytes >> 1);
      expect(await page.load(changing)).toMatchObject({ ok: false, code: "bundle.interrupted" });
      deploy();
      const { usage } = await page.page.evaluate(() => navigator.storage.estimate());
      await setQuota(page, (usage ?? 0) + 0.85 * newerBytes);
      link.refusal = { path: /weights/, status: 503 };
      expect(await page.load(changing), "half a version is none").toMatchObject({ ok: false, code: "bundle.server" });
      link.refusal = null;
      expectVersion(await page.load(changing), newer, null);
    });
  });

  test("a wrong key, a model that is not there, no room, no server: a sentence that says what to do", async () => {
    const page = await open();
    const { key } = served;
    const wrongKey = await page.load({ key: `${key.slice(0, -1)}${key.endsWith("0") ? "1" : "0"}`, model });
    expect(wrongKey).toMatchObject({ ok: false, code: "bundle.unauthorized" });
    expect(await page.load({ key, model: "no-such-model" })).toMatchObject({ ok: false, code: "bundle.unknown-model" });

    for (const quotaSize of [1, weightBytes >> 1]) {
      await setQuota(page, quotaSize);
      expect(await load(page)).toMatchObject({ ok: false, code: "bundle.quota" });
    }
    await setQuota(page);
    expect((await page.stored())["manifest.json"]).toBeUndefined();

    await link.close();
    expect(await load(page)).toMatchObject({ ok: false, code: "bundle.unreachable" });
  });
});
