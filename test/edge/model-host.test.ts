/** The models of an isolate: loaded once, whoever goes away meanwhile, and never half. */

import { env, exports } from "cloudflare:workers";
import { beforeAll, describe, expect, inject, test } from "vitest";
import type { ModelHost } from "../../durable-objects/model-host.ts";
import type { BundleStore } from "../../durable-objects/model-store.ts";
import type { Manifest } from "../../shared/checkpoint/bundle-manifest.ts";
import { readManifest } from "../../shared/checkpoint/bundle-reader.ts";
import { ModelError } from "../../shared/conversation/model-source.ts";
import { allLogits, createState } from "../../shared/engine.ts";
import { hosts, LOADER_ORIGIN } from "./fixture-worker.ts";
import { assets, bucket, type Disturb, disturbed, failure, fillBucket, hostOf, sha256Hasher } from "./stores.ts";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const never = () => new Promise<never>(() => undefined);
const slowly: Disturb = async (bytes) => {
  await pause(10);
  return bytes;
};

let hostNumber = 0;
/** Loads in a request of its own, or in an object. */
function remote(host: ModelHost) {
  const name = `host ${++hostNumber}`;
  hosts.set(name, host);
  const url = `${LOADER_ORIGIN}/?host=${encodeURIComponent(name)}`;
  return {
    request: (signal: AbortSignal | null = null) => exports.default.fetch(url, { signal }),
    object: (object: string) => env.LOADERS.getByName(object).fetch(url),
  };
}

let manifest: Manifest;
beforeAll(async () => {
  await fillBucket();
  manifest = (await readManifest(assets(), sha256Hasher))!;
});

describe("a model in an isolate", () => {
  test.each([
    ["assets", assets],
    ["R2", bucket],
  ])("from %s computes what it computes in Node, bit for bit", async (_source, store) => {
    const { model, digest, tokenizer, chat } = await hostOf(store).load("small");
    const { tokens, logits } = inject("nodeLogits");
    expect(model.backend.name).toBe("wasm (relaxed SIMD)");
    expect(digest).toBe(manifest.digest);
    expect([...(await allLogits(model, createState(model), tokens))]).toStrictEqual(logits);
    expect(tokenizer.decode(tokenizer.encode("Once upon a time"))).toBe("Once upon a time");
    expect(chat).not.toBeNull();
  });

  test("is loaded once by requests and objects that ask together", async () => {
    const { store, watched } = disturbed(assets, slowly);
    const host = hostOf(store);
    const { request, object } = remote(host);
    const replies = await Promise.all([object("one"), object("two"), request(), request()]);
    for (const reply of replies) expect(await reply.text()).toBe(manifest.digest);
    expect(watched.streams).toStrictEqual([0]);
    expect(await host.load("small")).toBe(await host.load("small"));
  });

  test("tells everybody how far it is, whoever loads", async () => {
    const host = hostOf(disturbed(assets, slowly).store);
    const seen: number[][] = [[], []];
    await Promise.all(seen.map((list) => host.load("small", (done, total) => list.push(done / total))));
    for (const list of seen) {
      expect(list.length).toBeGreaterThan(3);
      expect(list.toSorted((a, b) => a - b)).toStrictEqual(list);
    }
  });

  test("a caller whose progress function throws harms nobody else", async () => {
    const host = hostOf(disturbed(assets, slowly).store);
    const thrower = failure(
      host.load("small", () => {
        throw new Error("my own");
      }),
    );
    const [error, loaded] = await Promise.all([thrower, host.load("small")]);
    expect(error?.message).toBe("my own");
    expect(loaded.digest).toBe(manifest.digest);
  });

  test("that nobody knows is refused with the names there are", async () => {
    const error = await failure(hostOf(assets).load("other"));
    expect(error).toBeInstanceOf(ModelError);
    expect(error).toMatchObject({ code: "model.unknown", message: 'there is no model "other" here, there is small' });
  });
});

describe("a leader that goes away", () => {
  test("by a client that disconnects while weights load does not hurt the others", async () => {
    const { store, watched } = disturbed(bucket, slowly);
    const { request, object } = remote(hostOf(store));
    const client = new AbortController();
    const aborted = failure(request(client.signal));
    while (watched.bytes < 500_000) await pause(5);
    const waiting = [request(), object("one"), object("two")];
    await pause(50);
    client.abort();
    expect(await aborted).toBeInstanceOf(Error);
    const bytesAtAbort = watched.bytes;
    for (const reply of await Promise.all(waiting)) expect(await reply.text()).toBe(manifest.digest);
    // Somebody went on where it stopped: nothing was read twice but what was on its way.
    expect(watched.streams).toHaveLength(2);
    expect(watched.streams[1]).toBeGreaterThan(bytesAtAbort - 200_000);
    expect(watched.streams[1]).toBeLessThanOrEqual(bytesAtAbort + 200_000);
  });

  test("by a reset of the object that it was does not hurt the others", async () => {
    const { store, watched } = disturbed(bucket, slowly);
    const { request, object } = remote(hostOf(store));
    const reset = failure(object("to be reset"));
    while (watched.bytes < 500_000) await pause(5);
    const waiting = [request(), object("another")];
    await pause(50);
    await failure(env.LOADERS.getByName("to be reset").fetch(`${LOADER_ORIGIN}/reset`));
    expect((await reset)?.message).toContain("reset by a test");
    for (const reply of await Promise.all(waiting)) expect(await reply.text()).toBe(manifest.digest);
    expect(watched.streams).toHaveLength(2);
  });

  test("before anybody else came is followed by the next who asks", async () => {
    const { store, watched } = disturbed(assets, slowly);
    const { request } = remote(hostOf(store));
    const client = new AbortController();
    const aborted = failure(request(client.signal));
    while (watched.bytes < 500_000) await pause(5);
    client.abort();
    await aborted;
    await pause(2000);
    const started = Date.now();
    expect(await (await request()).text()).toBe(manifest.digest);
    expect(watched.streams).toHaveLength(2);
    expect(Date.now() - started).toBeLessThan(1500); // it does not wait for a leader that has been silent for long
  });

  test("and comes back finds itself replaced and waits", async () => {
    let wakeUp = () => {};
    const asleep = new Promise<void>((resolve) => {
      wakeUp = resolve;
    });
    // Assets know no ranges: the second leader skips what the first one published.
    const { store, watched } = disturbed(assets, async (bytes, delivered, stream) => {
      if (stream === 0 && delivered >= 1_000_000) await asleep;
      if (stream === 1 && delivered >= 1_500_000) wakeUp();
      await pause(5);
      return bytes;
    });
    const host = hostOf(store);
    const [first, second] = await Promise.all([host.load("small"), host.load("small")]);
    expect(first).toBe(second);
    expect(watched.streams.length).toBe(2);
    expect(watched.streams[1]).toBeGreaterThanOrEqual(900_000);
    const { tokens, logits } = inject("nodeLogits");
    expect([...(await allLogits(first.model, createState(first.model), tokens))]).toStrictEqual(logits);
  });

  test("and never comes back is not waited for by its own caller either", async () => {
    const { store } = disturbed(assets, async (bytes, delivered, stream) =>
      stream === 0 && delivered >= 1_000_000 ? never() : bytes,
    );
    const host = hostOf(store);
    const [first, second] = await Promise.all([host.load("small"), host.load("small")]);
    expect(first).toBe(second);
  });

  test("after a failure that nobody saw leaves nothing behind", async () => {
    let isBroken = true;
    const { store, watched } = disturbed(assets, async (bytes) => {
      await pause(10);
      return isBroken ? bytes.slice().fill(0) : bytes;
    });
    const { request } = remote(hostOf(store));
    const client = new AbortController();
    const aborted = failure(request(client.signal));
    while (watched.bytes < 500_000) await pause(5);
    client.abort();
    await aborted;
    expect(await (await request()).text()).toMatch(/has sha256/); // goes on with the spoilt one
    isBroken = false;
    expect(await (await request()).text()).toBe(manifest.digest);
  });
});

describe("files that are not right", () => {
  const broken =
    (flipAt: number): Disturb =>
    async (bytes, delivered) => {
      await pause(2);
      const changed = bytes.slice();
      if (flipAt >= delivered && flipAt < delivered + bytes.length) changed[flipAt - delivered] ^= 1;
      return changed;
    };

  test("a corrupted shard is refused for everybody, and the next request tries anew", async () => {
    let isBroken = true;
    const { store, watched } = disturbed(assets, (...piece) => (isBroken ? broken(1000)(...piece) : piece[0]));
    const host = hostOf(store);
    const errors = await Promise.all([1, 2, 3].map(() => failure(host.load("small"))));
    for (const error of errors) {
      expect(error).toBeInstanceOf(ModelError);
      expect(error?.message).toMatch(/^the model small can't be loaded: weights-00000\.bin has sha256 .* says/);
    }
    expect(watched.streams).toHaveLength(1);
    isBroken = false;
    expect((await host.load("small")).digest).toBe(manifest.digest);
  });

  test("a transfer that breaks off is gone on with", async () => {
    const { store, watched } = disturbed(bucket, async (bytes, delivered, stream) =>
      stream === 0 && delivered >= 600_000 ? "end" : bytes,
    );
    expect((await hostOf(store).load("small")).digest).toBe(manifest.digest);
    expect(watched.streams).toHaveLength(2);
    expect(watched.streams[1]).toBeGreaterThanOrEqual(600_000);
  });

  test("a file that ends too early, every time, is named", async () => {
    const { store } = disturbed(assets, async (bytes, delivered) => (delivered >= 600_000 ? "end" : bytes));
    const error = await failure(hostOf(store).load("small"));
    expect(error?.message).toMatch(/weights-00000\.bin ended after \d+ of \d+ bytes/);
  });

  test.each([
    ["manifest.json", "its manifest.json is missing"],
    ["tokenizer.json", "tokenizer.json is missing from the bundle"],
    ["weights-00000.bin", "weights-00000.bin is missing from the bundle"],
  ])("a missing %s is named", async (missing, sentence) => {
    const store = (): BundleStore => ({
      open: async (name) => (name === missing ? null : assets().open(name)),
      stream: async (file, offset) => (file === missing ? null : assets().stream(file, offset)),
    });
    const error = await failure(hostOf(store).load("small"));
    expect(error).toBeInstanceOf(ModelError);
    expect(error?.message).toContain(sentence);
  });
});
