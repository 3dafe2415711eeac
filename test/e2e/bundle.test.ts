/** The default model's bundle over HTTP, from assets and from R2: the very bytes that the deployment itself runs on. */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { defaultFolder, defaultModel, defaultManifest as manifest } from "./default-model.ts";
import { serve } from "./served.ts";

const { id, path } = defaultModel;
const read = (name: string) => new Uint8Array(readFileSync(join(defaultFolder, name)));
const names = ["manifest.json", ...[...manifest.files, ...manifest.shards].map(({ file }) => file)];
const shard = manifest.shards.at(-1)!;

const served = serve({
  vars: {
    AERIE_MODELS: JSON.stringify([
      { id, source: "assets", path, download: true },
      { id: "in-r2", source: "r2", path: "copy", download: true },
      { id: "closed", source: "assets", path },
    ]),
  },
});

const get = (model: string, file: string, headers: Record<string, string> = {}) =>
  served.fetch("GET", `/v1/models/${model}/bundle/${file}`, undefined, headers);
const bytesOf = async (response: Response) => Buffer.from(await response.arrayBuffer());

describe.each([id, "in-r2"])("%s", (model) => {
  beforeAll(async () => {
    if (model === "in-r2") for (const name of names) await served.runtime.putModelFile(`copy/${name}`, read(name));
  });

  test("every file that the manifest names, with its sha256", async () => {
    for (const name of names) {
      const response = await get(model, name);
      expect(response.status, name).toBe(200);
      const bytes = await bytesOf(response);
      expect(bytes.equals(read(name)), name).toBe(true);
      expect(response.headers.get("content-length"), name).toBe(`${bytes.length}`);
      const sha256 = name === "manifest.json" ? manifest.digest : createHash("sha256").update(bytes).digest("hex");
      expect(response.headers.get("etag"), name).toBe(`"${sha256}"`);
    }
  });

  test("ranges of a shard, and no more than was asked for", async () => {
    const whole = Buffer.from(read(shard.file));
    for (const [from, to] of [
      [0, 1],
      [shard.bytes >> 1, shard.bytes],
      [1000, 1_100_001], // across the pieces in which a store is read
      [shard.bytes - 1, shard.bytes],
    ]) {
      const response = await get(model, shard.file, { range: `bytes=${from}-${to - 1}` });
      expect(response.status).toBe(206);
      expect(response.headers.get("content-range")).toBe(`bytes ${from}-${to - 1}/${shard.bytes}`);
      expect((await bytesOf(response)).equals(whole.subarray(from, to)), `${from} to ${to}`).toBe(true);
    }
  });

  test("a reader that is slow gets the same bytes", async () => {
    const response = await get(model, shard.file, { range: "bytes=1-" });
    const parts: Uint8Array[] = [];
    for await (const part of response.body!) {
      parts.push(part.slice());
      if (parts.length % 16 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(Buffer.concat(parts).equals(Buffer.from(read(shard.file)).subarray(1))).toBe(true);
  });

  test("what lies beside the bundle and is not named by it stays where it is", async () => {
    for (const name of ["config.json", "nothing.bin", "..%2f..%2f_headers", "%00"])
      expect((await get(model, name)).status).toBe(404);
  });
});

test("a transfer that the client leaves does no harm", async () => {
  for (let at = 0; at < 5; at++) await (await get(id, shard.file)).body?.cancel();
  expect((await get(id, shard.file)).status).toBe(200);
});

test("without a key, or of a model that is not offered: nothing", async () => {
  expect((await fetch(`${served.runtime.url}/v1/models/${id}/bundle/manifest.json`)).status).toBe(401);
  expect((await get("closed", "manifest.json")).status).toBe(403);
  expect((await fetch(`${served.runtime.url}/${path}/manifest.json`)).status, "the asset itself").toBe(401);
  const over = await fetch(`${served.runtime.url}/browser/..%2f${path}/manifest.json`);
  expect([401, 404], "past the page's folder").toContain(over.status);
});
