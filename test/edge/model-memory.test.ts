/** What fits the memory of an isolate: models, and computations with them. */

import { afterEach, beforeAll, describe, expect, inject, test, vi } from "vitest";
import { computationBytes, MAX_WEIGHT_BYTES } from "../../durable-objects/memory-budget.ts";
import {
  digestedText,
  layOut,
  type Manifest,
  SHARD_BYTES,
  shardFile,
  streamBytes,
} from "../../shared/checkpoint/bundle-manifest.ts";
import { readManifest } from "../../shared/checkpoint/bundle-reader.ts";
import { bytesSource } from "../../shared/checkpoint/byte-source.ts";
import { sha256 } from "../../shared/checkpoint/hasher.ts";
import { BusyError, ModelError, turnNeeds } from "../../shared/conversation/model-source.ts";
import { allLogits, createState } from "../../shared/engine.ts";
import { assets, entryOf, failure, hostOf, sha256Hasher } from "./stores.ts";

let manifest: Manifest;
let modelBytes: number;
let budgetOfOne: number; // with room for a few computations
beforeAll(async () => {
  manifest = (await readManifest(assets(), sha256Hasher))!;
  const host = hostOf(assets);
  const { model } = await host.load("small");
  modelBytes = host.usage().usedBytes;
  budgetOfOne = modelBytes + 3 * computationBytes(model, turnNeeds(1));
});
afterEach(() => vi.restoreAllMocks());

describe("a model", () => {
  test("with too many weights is refused with both numbers, before anything else is read", async () => {
    const config = { ...manifest.config, width: 1536, mlpWidth: 9216, vocabSize: 32_000 };
    const tensors = layOut(config, ({ role }) => (["embedding", "matrix", "gate"].includes(role) ? "rg8" : "f32"));
    const bytes = streamBytes(tensors);
    expect(bytes).toBeGreaterThan(MAX_WEIGHT_BYTES);
    const shards = Array.from({ length: Math.ceil(bytes / SHARD_BYTES) }, (_, at) => ({
      file: shardFile(at),
      bytes: Math.min(SHARD_BYTES, bytes - at * SHARD_BYTES),
      sha256: "0".repeat(64),
    }));
    const large = { ...manifest, config, tensors, shards };
    const digest = sha256(sha256Hasher(), digestedText(large));
    const text = new TextEncoder().encode(JSON.stringify({ ...large, digest }));
    const asked: string[] = [];
    const host = hostOf(() => ({
      async open(name) {
        asked.push(name);
        return bytesSource(name, text);
      },
      stream: async () => null,
    }));
    const error = await failure(host.load("small"));
    expect(error).toMatchObject({ code: "model.too-large" });
    expect(error?.message).toContain(`has ${bytes} bytes of packed weights, an isolate carries ${MAX_WEIGHT_BYTES}`);
    expect(asked).toStrictEqual(["manifest.json"]);
    expect(host.usage().usedBytes).toBe(0);
  });

  test("that needs more than the budget is refused with both numbers", async () => {
    const error = await failure(hostOf(assets, { budgetBytes: 3_000_000 }).load("small"));
    expect(error).toMatchObject({ code: "model.too-large" });
    expect(error?.message).toMatch(/needs \d+ bytes .* an isolate has 3000000 for models/);
  });

  test("used least recently and idle makes room for another", async () => {
    const models = ["a", "b", "c"].map((id) => entryOf(id, "assets"));
    const host = hostOf(assets, { models, budgetBytes: modelBytes + budgetOfOne }); // for two of them
    const [a, b] = [await host.load("a"), await host.load("b")];
    await host.load("a");
    await host.load("c"); // b goes
    expect(await host.load("a")).toBe(a);
    expect(() => host.admit(b, turnNeeds(1))).toThrow(BusyError);
    expect(await host.load("b")).not.toBe(b);
  });

  test("in use is not dropped", async () => {
    const models = ["a", "b"].map((id) => entryOf(id, "assets"));
    const host = hostOf(assets, { models, budgetBytes: budgetOfOne }); // for one of them
    const a = await host.load("a");
    const admission = host.admit(a, turnNeeds(1));
    expect(await failure(host.load("b"))).toBeInstanceOf(BusyError);
    admission.release();
    await host.load("b");
    expect(() => host.admit(a, turnNeeds(1))).toThrow(BusyError);
  });

  test("that trapped is never handed out again, and counts until its computations end", async () => {
    const host = hostOf(assets);
    const spoilt = await host.load("small");
    const admission = host.admit(spoilt, turnNeeds(1));
    const { usedBytes } = host.usage();
    host.discard(spoilt);
    expect(() => host.admit(spoilt, turnNeeds(1))).toThrow(BusyError);
    const fresh = await host.load("small");
    expect(fresh).not.toBe(spoilt);
    expect(host.usage().usedBytes).toBeGreaterThan(usedBytes);
    admission.release();
    expect(host.usage().usedBytes).toBeLessThan(usedBytes);
    const { tokens, logits } = inject("nodeLogits");
    expect([...(await allLogits(fresh.model, createState(fresh.model), tokens))]).toStrictEqual(logits);
  });
});

describe("a computation", () => {
  test("is admitted while there is room, then asked to come again later", async () => {
    const host = hostOf(assets, { budgetBytes: budgetOfOne });
    const loaded = await host.load("small");
    const admissions = [];
    let refused: unknown = null;
    while (!refused) {
      try {
        admissions.push(host.admit(loaded, turnNeeds(1)));
      } catch (error) {
        refused = error;
      }
    }
    expect(admissions.length).toBeGreaterThan(1);
    expect(refused).toBeInstanceOf(BusyError);
    expect((refused as BusyError).retryAfterSeconds).toBeGreaterThanOrEqual(1);
    expect((refused as BusyError).message).toContain(`${admissions.length} are running`);
    expect(host.usage().usedBytes).toBeLessThanOrEqual(budgetOfOne);

    admissions[0].release();
    admissions[0].release(); // twice is once
    const again = host.admit(loaded, turnNeeds(1));
    expect(() => host.admit(loaded, turnNeeds(1))).toThrow(BusyError);
    for (const admission of [...admissions, again]) admission.release();
    expect(host.usage().running).toBe(0);
  });

  test("takes what it says that it needs", async () => {
    const host = hostOf(assets);
    const loaded = await host.load("small");
    const before = host.usage().usedBytes;
    const [small, large] = [host.admit(loaded, { states: 1 }), host.admit(loaded, { states: 4, bytes: 1_000_000 })];
    const { stateLayout, config } = loaded.model;
    const fixed = 2 * (4 * config.vocabSize + 500_000);
    expect(host.usage().usedBytes - before).toBe(5 * stateLayout.bytes + 1_000_000 + fixed);
    for (const { release } of [small, large]) release();
    expect(host.usage().usedBytes).toBe(before);
  });

  test("that never fits is not told to come again", async () => {
    const host = hostOf(assets, { budgetBytes: budgetOfOne });
    const loaded = await host.load("small");
    const admit = () => host.admit(loaded, { states: 2, bytes: budgetOfOne });
    expect(admit).toThrow(ModelError);
    expect(admit).toThrow(/this takes \d+ bytes with the model small, which leaves \d+: ask for less/);
  });

  test("that ended without a word gives its place back after a while, one that yields keeps it", async () => {
    const host = hostOf(assets);
    const loaded = await host.load("small");
    host.admit(loaded, turnNeeds(1));
    const alive = host.admit(loaded, turnNeeds(1));
    const now = Date.now();
    vi.spyOn(Date, "now").mockImplementation(() => now + 20_000);
    await alive.yieldToEvents();
    expect(host.usage().running).toBe(2);
    vi.spyOn(Date, "now").mockImplementation(() => now + 40_000);
    expect(host.usage().running).toBe(1);
  });

  test("that waits for a slow reader holds its memory, and so its place", async () => {
    const host = hostOf(assets);
    const loaded = await host.load("small");
    vi.useFakeTimers();
    try {
      const { release } = host.admit(loaded, turnNeeds(1));
      await vi.advanceTimersByTimeAsync(120_000);
      expect(host.usage().running).toBe(1);
      release();
      expect(host.usage().running).toBe(0);
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });

  test("with a small model makes dozens of tokens between two yields", async () => {
    const host = hostOf(assets);
    const { tokensPerYield, release } = host.admit(await host.load("small"), turnNeeds(1));
    expect(tokensPerYield).toBe(64);
    release();
  });
});
