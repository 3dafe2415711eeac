/** A bundle taken in pieces of any size, by anybody, is the same model; a damaged one is refused where the damage is. */

import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { sha256Hasher } from "../../cli/bundle-folder.ts";
import { loadKernels } from "../../cli/kernels.ts";
import type { Backend } from "../../shared/backend/backend.ts";
import { referenceBackend } from "../../shared/backend/reference/index.ts";
import { wasmPacker } from "../../shared/backend/wasm/packer.ts";
import { BundleLoad } from "../../shared/checkpoint/bundle-load.ts";
import type { Manifest } from "../../shared/checkpoint/bundle-manifest.ts";
import { type BundleSink, writeBundle } from "../../shared/checkpoint/bundle-writer.ts";
import { bytesSource } from "../../shared/checkpoint/byte-source.ts";
import { sha256 } from "../../shared/checkpoint/hasher.ts";
import { matrixDTypes } from "../../shared/checkpoint/matrix-dtypes.ts";
import { openSafetensors } from "../../shared/checkpoint/safetensors.ts";
import { parseHfConfig } from "../../shared/model/hf-config.ts";
import { smallHfConfig } from "../model/random-model.ts";
import { randomCheckpoint } from "../oracle/random-checkpoint.ts";
import { writeSafetensors } from "../oracle/safetensors.ts";

const hf = { ...smallHfConfig, hidden_size: 64, lru_width: 128, num_key_value_heads: 2 };

let manifest: Manifest;
let stream: Uint8Array;
let expected: string;

beforeAll(async () => {
  ({ manifest, stream } = await smallBundle());
  const record = recorder();
  const load = new BundleLoad(manifest, record.backend, sha256Hasher);
  load.accept(stream);
  load.finish();
  expected = record.digest();
});

describe("a load", () => {
  test("takes pieces of any size, even single bytes and views that begin anywhere", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 9000 }), { maxLength: 60 }), fc.nat(7), (sizes, shift) => {
        const record = recorder();
        const load = new BundleLoad(manifest, record.backend, sha256Hasher);
        for (const size of [...sizes, stream.length]) {
          const piece = new Uint8Array(shift + size).subarray(shift); // one that begins anywhere in its buffer
          const bytes = stream.subarray(load.offset, load.offset + size);
          piece.set(bytes);
          load.accept(piece.subarray(0, bytes.length));
          piece.fill(0xff); // and is used again at once
        }
        expect(load.next).toBeNull();
        load.finish();
        expect(record.digest()).toBe(expected);
      }),
      { numRuns: 60 },
    );
  });

  test("says at any moment where it stands, so that anybody can go on", () => {
    const load = new BundleLoad(manifest, recorder().backend, sha256Hasher);
    expect(load.next).toStrictEqual({ shard: manifest.shards[0], at: 0 });
    load.accept(stream.subarray(0, 1001));
    expect(load.offset).toBe(1001);
    expect(load.next).toStrictEqual({ shard: manifest.shards[0], at: 1001 });
    expect(() => load.finish()).toThrow(`the shards end after 1001 bytes, manifest.json says ${stream.length}`);
    load.accept(stream.subarray(1001));
    expect(load.next).toBeNull();
    expect(() => load.finish()).not.toThrow();
  });

  test("crosses shards in the middle of a piece", () => {
    const cut = 12_345; // no multiple of anything: real shards are, pieces need not know
    const shards = [stream.subarray(0, cut), stream.subarray(cut)].map((bytes, at) => ({
      file: `weights-0000${at}.bin`,
      bytes: bytes.length,
      sha256: sha256(sha256Hasher(), bytes),
    }));
    const record = recorder();
    const load = new BundleLoad({ ...manifest, shards }, record.backend, sha256Hasher);
    for (let at = 0; at < stream.length; at += 1000) load.accept(stream.subarray(at, at + 1000));
    load.finish();
    expect(record.digest()).toBe(expected);
  });
});

describe("a load refuses", () => {
  test("a shard with another hash, at its last byte and for good", () => {
    const load = new BundleLoad(manifest, recorder().backend, sha256Hasher);
    const changed = stream.slice();
    changed[70] ^= 1; // a tile of the embedding
    load.accept(changed.subarray(0, -1));
    expect(() => load.accept(changed.subarray(-1))).toThrow(/weights-00000\.bin has sha256 .* says/);
    expect(() => load.accept(stream)).toThrow("weights-00000.bin has sha256");
    expect(() => load.finish()).toThrow("weights-00000.bin has sha256");
  });

  test("a number that is not finite, even when it comes byte by byte", () => {
    const changed = stream.slice();
    const { offset, bytes } = manifest.tensors[0];
    changed.set([0, 0, 0xc0, 0x7f], offset + bytes - 4); // the last row scale of the embedding
    const load = new BundleLoad(manifest, recorder().backend, sha256Hasher);
    load.accept(changed.subarray(0, offset + bytes - 5));
    expect(() => {
      for (let at = load.offset; at < offset + bytes; at++) load.accept(changed.subarray(at, at + 1));
    }).toThrow(`model.embed_tokens.weight has a number at byte ${bytes - 4} that is not finite`);
  });

  test("more than there should be", () => {
    const load = new BundleLoad(manifest, recorder().backend, sha256Hasher);
    load.accept(stream);
    expect(() => load.accept(new Uint8Array(1))).toThrow(`more than the ${stream.length} bytes of manifest.json`);
  });
});

/** A backend that remembers what it was given, whatever pieces it came in. */
function recorder(): { readonly backend: Backend; digest(): string } {
  const digests: string[] = [];
  const base = referenceBackend();
  const backend: Backend = {
    ...base,
    weight(role, shape, dtype) {
      const hasher = sha256Hasher();
      return {
        write: (bytes) => void hasher.update(bytes),
        finish() {
          digests.push(`${role} ${shape} ${dtype} ${hasher.hex()}`);
          return { shape };
        },
      };
    },
  };
  return { backend, digest: () => digests.join("\n") };
}

async function smallBundle(): Promise<{ manifest: Manifest; stream: Uint8Array }> {
  const { tensors } = randomCheckpoint(hf, 5);
  const file = writeSafetensors([...tensors].map(([name, tensor]) => ({ name, dtype: "F32", ...tensor })));
  const written = new Map<string, Uint8Array[]>();
  const sink: BundleSink = {
    async create(name) {
      const pieces: Uint8Array[] = [];
      written.set(name, pieces);
      return { write: async (bytes) => pieces.push(bytes.slice()), close: async () => undefined };
    },
  };
  const manifest = await writeBundle(
    { config: parseHfConfig(hf), tensors: await openSafetensors(bytesSource("small.safetensors", file)) },
    sink,
    {
      dtypes: matrixDTypes("rg8"),
      ring: "f16",
      license: null,
      packer: wasmPacker(loadKernels(), 4096),
      createHasher: sha256Hasher,
      files: new Map(),
    },
  );
  return { manifest, stream: new Uint8Array(Buffer.concat(written.get("weights-00000.bin")!)) };
}
