/** Bundles: converted, loaded, verified; damaged in every way; and never half there. */

import { spawn } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sha256Hasher } from "../../cli/bundle-folder.ts";
import { loadKernels } from "../../cli/kernels.ts";
import { nodeFolder } from "../../cli/node-folder.ts";
import { packedBytes } from "../../shared/backend/packed.ts";
import { referenceBackend } from "../../shared/backend/reference/index.ts";
import { wasmBackend } from "../../shared/backend/wasm/index.ts";
import { wasmPacker } from "../../shared/backend/wasm/packer.ts";
import { digestedText, type Manifest } from "../../shared/checkpoint/bundle-manifest.ts";
import { bytesSource, type Folder } from "../../shared/checkpoint/byte-source.ts";
import { sha256 } from "../../shared/checkpoint/hasher.ts";
import { matrixDTypes } from "../../shared/checkpoint/matrix-dtypes.ts";
import { allLogits, createState, type Model } from "../../shared/engine.ts";
import { AerieError, CheckpointError, ConfigError } from "../../shared/errors.ts";
import { type LoadModelOptions, loadModel } from "../../shared/load-model.ts";
import { aerie } from "../cli/aerie.ts";
import { randomTokens, smallHfConfig } from "../model/random-model.ts";
import { randomCheckpoint, writeHfFolder } from "../oracle/random-checkpoint.ts";

const hf = { ...smallHfConfig, hidden_size: 64, lru_width: 128, num_key_value_heads: 2 };
const tokens = randomTokens(20, hf.vocab_size);
const kernels = loadKernels();

let root: string;
const at = (name: string) => join(root, name);
const convert = (out: string, ...args: string[]) => aerie(["convert", at("hf"), "--out", at(out), ...args]);

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), "aerie-bundle-"));
  writeHfFolder(at("hf"), randomCheckpoint(hf, 5));
  writeFileSync(at("hf/README.md"), "---\nlicense: apache-2.0\n---\nA card.\n");
  for (const weights of ["f32", "f16", "rg8", "rg4"])
    expect(await convert(weights, "--weights", weights)).toMatchObject({ code: 0 });
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

async function load(path: string, backend: "reference" | "wasm", options: LoadModelOptions = {}): Promise<Model> {
  const folder = nodeFolder(at(path));
  const create =
    backend === "wasm" ? (needs: Parameters<typeof wasmBackend>[1]) => wasmBackend(kernels, needs) : referenceBackend;
  return loadModel(folder, create, { createHasher: sha256Hasher, ...options }).finally(folder.close);
}

const logitsOf = (model: Model) => allLogits(model, createState(model), tokens);

describe("a bundle", () => {
  test.each(["reference", "wasm"] as const)("in f32 is the checkpoint, bit for bit (%s)", async (backend) => {
    const direct = await load("hf", backend, { ring: "f16" });
    expect(await logitsOf(await load("f32", backend))).toStrictEqual(await logitsOf(direct));
  });

  test.each(["f16", "rg8", "rg4"] as const)("in %s is the checkpoint packed at load, bit for bit", async (weights) => {
    const options = { dtypes: matrixDTypes(weights), packer: wasmPacker(kernels, 4096), ring: "f16" } as const;
    const direct = await load("hf", "wasm", options);
    expect(await logitsOf(await load(weights, "wasm"))).toStrictEqual(await logitsOf(direct));
  });

  test("has the same bytes however often it is made", async () => {
    expect(await convert("again", "--weights", "rg4")).toMatchObject({ code: 0 });
    for (const file of readdirSync(at("rg4")))
      expect(readFileSync(at(`again/${file}`))).toStrictEqual(readFileSync(at(`rg4/${file}`)));
  });

  test("says what it is: licence of the card, ring, tensors", () => {
    const manifest = readManifest("rg4");
    expect(manifest).toMatchObject({ license: "apache-2.0", ring: "f16", version: 1 });
    const gate = manifest.tensors.find(({ name }) => name.endsWith("input_gate_weight"));
    expect(gate).toMatchObject({ dtype: "rg4", bytes: packedBytes("gate", [4, 32, 32], "rg4") });
    expect(readdirSync(at("rg4")).sort()).toStrictEqual(["README.md", "manifest.json", "weights-00000.bin"]);
  });

  test("inspect verifies it and says so", async () => {
    const { code, stdout } = await aerie(["inspect", at("rg4")]);
    expect({ code }).toStrictEqual({ code: 0 });
    expect(stdout).toContain("whole: every sha256 is right");
    expect(stdout).toContain(readManifest("rg4").digest);
  });

  test("is not packed a second time", async () => {
    await expect(load("rg8", "wasm", { dtypes: matrixDTypes("rg4") })).rejects.toThrow("a bundle is packed already");
  });
});

describe("convert", () => {
  test("does not touch what is there", async () => {
    const before = readFileSync(at("rg4/manifest.json"));
    const { code, stderr } = await convert("rg4");
    expect(code).toBe(1);
    expect(stderr).toContain("is there already");
    expect(readFileSync(at("rg4/manifest.json"))).toStrictEqual(before);
  });

  test("of a broken checkpoint leaves nothing behind", async () => {
    cpSync(at("hf"), at("broken"), { recursive: true });
    const file = readFileSync(at("broken/model.safetensors"));
    file.fill(0xff, file.length - 8); // NaN in the last tensor
    writeFileSync(at("broken/model.safetensors"), file);
    const before = readdirSync(root);
    const { code, stderr } = await aerie(["convert", at("broken"), "--out", at("from-broken")]);
    expect(code).toBe(1);
    expect(stderr).toContain("expected finite numbers");
    expect(readdirSync(root)).toStrictEqual(before);
  });

  test("killed at any moment leaves no folder that looks whole", async () => {
    for (const delayMs of [150, 300, 450, 600, 800]) {
      await killedAfter(delayMs, ["convert", at("hf"), "--out", at("killed"), "--weights", "rg8"]);
      if (existsSync(at("killed"))) {
        // It was done before the signal came: then it is whole.
        expect(await aerie(["inspect", at("killed")])).toMatchObject({ code: 0 });
        rmSync(at("killed"), { recursive: true });
      }
    }
  });
});

describe("a damaged bundle is refused", () => {
  let manifest: Manifest;
  let files: Map<string, Uint8Array>;
  beforeAll(() => {
    manifest = readManifest("rg4");
    files = new Map(readdirSync(at("rg4")).map((file) => [file, new Uint8Array(readFileSync(at(`rg4/${file}`)))]));
  });

  const folderOf = (changed: Map<string, Uint8Array>): Folder => ({
    open: async (name) => (changed.has(name) ? bytesSource(name, changed.get(name)!) : null),
  });
  const loadFolder = (changed: Map<string, Uint8Array>) =>
    loadModel(folderOf(changed), referenceBackend, { createHasher: sha256Hasher });
  const withFile = (name: string, bytes: Uint8Array) => new Map([...files, [name, bytes]]);
  /** The manifest changed by somebody who knows how digests are made. */
  async function withManifest(changed: Manifest): Promise<Map<string, Uint8Array>> {
    const digest = sha256(sha256Hasher(), digestedText(changed));
    return withFile("manifest.json", new TextEncoder().encode(JSON.stringify({ ...changed, digest })));
  }

  test("unless it is not damaged", async () => {
    await expect(loadFolder(files)).resolves.toBeDefined();
    await expect(loadFolder(await withManifest(manifest))).resolves.toBeDefined();
  });

  test("at any flipped bit of a shard, naming the shard", async () => {
    const shard = files.get("weights-00000.bin")!;
    await fc.assert(
      fc.asyncProperty(fc.nat(shard.length * 8 - 1), async (bit) => {
        const flipped = shard.slice();
        flipped[bit >> 3] ^= 1 << (bit & 7);
        await expect(loadFolder(withFile("weights-00000.bin", flipped))).rejects.toThrow(
          /weights-00000\.bin has sha256|is not finite/,
        );
      }),
      { numRuns: 25 },
    );
  });

  test("at any flipped bit of the manifest", async () => {
    const bytes = files.get("manifest.json")!;
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length * 8 - 1), async (bit) => {
        const flipped = bytes.slice();
        flipped[bit >> 3] ^= 1 << (bit & 7);
        const error = await loadFolder(withFile("manifest.json", flipped)).then(
          () => null,
          (thrown: unknown) => thrown,
        );
        // A blank may become another blank: the same manifest.
        if (error === null) expect(JSON.parse(new TextDecoder().decode(flipped))).toStrictEqual(manifest);
        else expect(error).toBeInstanceOf(AerieError);
      }),
      { numRuns: 150 },
    );
  });

  test.each<[string, (m: Manifest) => unknown, RegExp]>([
    ["a newer version", (m) => ({ ...m, version: 2 }), /version: .*expected 1/],
    ["an unknown field", (m) => ({ ...m, extra: 1 }), /Unrecognized key/],
    ["a config that does not fit", (m) => ({ ...m, config: { ...m.config, kvHeads: 3 } }), /kvHeads must divide heads/],
    ["a wider config", (m) => ({ ...m, config: { ...m.config, width: 96 } }), /the config asks for/],
    ["a tensor less", (m) => ({ ...m, tensors: m.tensors.slice(1) }), /lists no model\.embed_tokens\.weight/],
    [
      "two tensors swapped",
      (m) => ({ ...m, tensors: [m.tensors[1], m.tensors[0], ...m.tensors.slice(2)] }),
      /where model\.embed_tokens\.weight belongs/,
    ],
    [
      "a tensor elsewhere",
      (m) => ({ ...m, tensors: [{ ...m.tensors[0], offset: 64 }, ...m.tensors.slice(1)] }),
      /bytes at 64, the config asks for .* bytes at 0/,
    ],
    [
      "a quantised norm",
      (m) => ({ ...m, tensors: [m.tensors[0], { ...m.tensors[1], dtype: "rg4" }, ...m.tensors.slice(2)] }),
      /has dtype rg4, expected f32/,
    ],
    [
      "a shard of another size",
      (m) => ({ ...m, shards: [{ ...m.shards[0], bytes: 64 }] }),
      /lists shard weights-00000\.bin of 64 bytes/,
    ],
    [
      "a shard elsewhere",
      (m) => ({ ...m, shards: [{ ...m.shards[0], file: "../weights-00000.bin" }] }),
      /expected weights-00000\.bin/,
    ],
    [
      "a companion elsewhere",
      (m) => ({ ...m, files: [{ ...m.files[0], file: "../README.md" }] }),
      /not a file of the folder/,
    ],
    // Whoever keeps the files by their names would write one over the other, and the manifest before all is there.
    [
      "the manifest as a companion",
      (m) => ({ ...m, files: [...m.files, { ...m.files[0], file: "manifest.json" }] }),
      /names manifest\.json twice/,
    ],
    [
      "a shard as a companion",
      (m) => ({ ...m, files: [...m.files, { ...m.files[0], file: "weights-00000.bin" }] }),
      /names weights-00000\.bin twice/,
    ],
    [
      "a companion twice, in another size",
      (m) => ({ ...m, files: [...m.files, { ...m.files[0], file: m.files[0].file.toUpperCase(), bytes: 1 }] }),
      /names README\.MD twice/,
    ],
    ["no shards", (m) => ({ ...m, shards: [] }), /lists 0 shards/],
  ])("with %s, even if the digest is right", async (_what, change, sentence) => {
    const error = await loadFolder(await withManifest(change(manifest) as Manifest)).catch((thrown: unknown) => thrown);
    expect(error instanceof CheckpointError || error instanceof ConfigError, String(error)).toBe(true);
    expect((error as Error).message).toMatch(sentence);
  });

  test("cut off, or without a file", async () => {
    const shard = files.get("weights-00000.bin")!;
    await expect(loadFolder(withFile("weights-00000.bin", shard.slice(0, -1)))).rejects.toThrow(
      `has ${shard.length - 1} bytes, manifest.json says ${shard.length}`,
    );
    const without = new Map(files);
    without.delete("weights-00000.bin");
    await expect(loadFolder(without)).rejects.toThrow("weights-00000.bin is missing from the bundle");
  });

  test("with a scale that is not a number, even if every hash is right", async () => {
    const shard = files.get("weights-00000.bin")!.slice();
    const { offset, bytes } = manifest.tensors[0];
    shard.set([0, 0, 0xc0, 0x7f], offset + bytes - 4); // the last row scale of the embedding
    const hasher = sha256Hasher();
    hasher.update(shard);
    const changed = await withManifest({
      ...manifest,
      shards: [{ ...manifest.shards[0], sha256: hasher.hex() }],
    });
    changed.set("weights-00000.bin", shard);
    await expect(loadFolder(changed)).rejects.toThrow("model.embed_tokens.weight has a number at byte");
  });
});

const readManifest = (bundle: string) => JSON.parse(readFileSync(at(`${bundle}/manifest.json`), "utf8")) as Manifest;

function killedAfter(delayMs: number, args: string[]): Promise<void> {
  const child = spawn(process.execPath, ["cli/bin.mjs", ...args], { stdio: "ignore" });
  const timer = setTimeout(() => child.kill("SIGKILL"), delayMs);
  return new Promise((resolve) =>
    child.on("close", () => {
      clearTimeout(timer);
      resolve();
    }),
  );
}
