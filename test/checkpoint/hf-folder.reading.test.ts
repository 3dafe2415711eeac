/** How is a Hugging Face folder read? In ranges, a piece at a time, and never trusting that a file stays as it is. */

import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { nodeFolder } from "../../cli/node-folder.ts";
import type { Backend } from "../../shared/backend/backend.ts";
import { referenceBackend } from "../../shared/backend/reference/index.ts";
import type { Folder } from "../../shared/checkpoint/byte-source.ts";
import { createState, lastLogits } from "../../shared/engine.ts";
import { loadModel } from "../../shared/load-model.ts";
import { elements } from "../../shared/model/weight-table.ts";
import { smallHfConfig } from "../model/random-model.ts";
import { randomCheckpoint, writeHfFolder } from "../oracle/random-checkpoint.ts";
import { INDEX, logitsOf, MIB, partsOf, prompt, refusalOf, sharded, single, tensorsOf } from "./hf-folders.ts";
import { memoryFolder } from "./sources.ts";

describe("memory", () => {
  // 6 MB in f32, of which the embedding is 5: more than a piece.
  const large = { ...smallHfConfig, vocab_size: 40_000 };
  const folder = () => single(tensorsOf(large), large);

  test("only ranges are read, every byte once, none of more than 4 MiB", async () => {
    const checkpoint = folder();
    const model = await loadModel(checkpoint, referenceBackend);
    expect(model.config.vocabSize).toBe(40_000);
    const file = checkpoint.files["model.safetensors"];
    expect(file.length).toBeGreaterThan(5 * MIB);
    const [, , , ...reads] = checkpoint.reads.filter(({ file }) => file === "model.safetensors");
    expect(Math.max(...reads.map(({ length }) => length))).toBe(4 * MIB);
    let end = file.length - partsOf(file).data.length;
    for (const { offset, length } of reads.toSorted((a, b) => a.offset - b.offset)) {
      expect(offset).toBe(end);
      end += length;
    }
    expect(end).toBe(file.length);
  });

  test("one piece and one tensor are held at a time: the next is read when the backend has taken the last", async () => {
    const checkpoint = folder();
    let liveBytes = 0; // of the tensor that is being read
    let pending = 0;
    let largest = 0;
    const watched: Folder = {
      async open(name) {
        const source = await checkpoint.open(name);
        if (!source) return null;
        const memory = new Uint8Array(4 * MIB); // the same for every piece, so none may be kept
        return {
          ...source,
          async read(offset, length) {
            pending++;
            expect(pending).toBe(1);
            const bytes = await source.read(offset, length);
            memory.fill(0xff);
            memory.set(bytes);
            liveBytes += length;
            largest = Math.max(largest, liveBytes);
            pending--;
            return memory.subarray(0, length);
          },
        };
      },
    };
    const createBackend = (): Backend => {
      const reference = referenceBackend();
      return {
        ...reference,
        weight(...[role, shape, dtype]: Parameters<Backend["weight"]>) {
          const writer = reference.weight(role, shape, dtype);
          return {
            ...writer,
            finish() {
              // Only what was read since the last tensor was finished can be this one's.
              expect(liveBytes).toBeGreaterThanOrEqual(4 * elements(shape));
              liveBytes = 0;
              return writer.finish();
            },
          };
        },
      };
    };
    const progress: number[] = [];
    const model = await loadModel(watched, createBackend, { onProgress: (done) => progress.push(done) });
    const embeddingBytes = 4 * large.vocab_size * large.hidden_size;
    expect(largest).toBeLessThan(embeddingBytes + 16_000); // config and header, before the first tensor
    expect(progress).toStrictEqual(progress.toSorted((a, b) => a - b));
    expect(progress.at(-1)).toBe(partsOf(checkpoint.files["model.safetensors"]).data.length);
    const logits = await lastLogits(model, createState(model), prompt);
    expect(logits).toStrictEqual(await logitsOf(folder()));
  });

  test("a transfer that breaks off inside a tensor", async () => {
    const checkpoint = folder();
    const source = (await checkpoint.open("model.safetensors"))!;
    const broken: Folder = {
      async open(name) {
        if (name !== "model.safetensors") return checkpoint.open(name);
        return {
          ...source,
          async read(offset, length) {
            if (length === 1) return source.read(offset, length);
            return source.read(offset, Math.min(length, Math.max(0, 4.5 * MIB - offset)));
          },
        };
      },
    };
    const embeddingRest = 4 * large.vocab_size * large.hidden_size - 4 * MIB;
    expect(await refusalOf(broken)).toMatch(
      new RegExp(`^model\\.safetensors: expected ${embeddingRest} bytes at offset \\d+, found \\d+: the file changed`),
    );
  });
});

describe("files on disk", () => {
  let dir = "";
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), "aerie-hf-folder-"));
  });
  afterAll(() => rmSync(dir, { recursive: true }));

  const checkpoint = randomCheckpoint(smallHfConfig, 1, { dtype: "BF16" });

  test("single, sharded, as f32, bf16 and through memory are the same model", async () => {
    const expected = await logitsOf(single(tensorsOf(smallHfConfig, "BF16")));
    for (const shards of [1, 2, 5]) {
      for (const dtype of ["F32", "BF16"] as const) {
        const path = join(dir, `${dtype}-${shards}`);
        writeHfFolder(path, checkpoint, { dtype, shards });
        const folder = nodeFolder(path);
        expect(await logitsOf(folder), path).toStrictEqual(expected);
        await folder.close();
      }
    }
  });

  test("a file that is truncated behind the reader's back", async () => {
    const path = join(dir, "truncated");
    writeHfFolder(path, checkpoint);
    const folder = nodeFolder(path);
    const truncating: Folder = {
      async open(name) {
        const source = await folder.open(name);
        if (name === "model.safetensors") truncateSync(join(path, name), source!.size - 1);
        return source;
      },
    };
    expect(await refusalOf(truncating)).toMatch(
      /^model\.safetensors: expected 1 bytes at offset \d+, found 0: the file/,
    );
    await folder.close();
  });

  test("a folder that throws: what it says, under the file's name", async () => {
    for (const wrong of ["config.json", "generation_config.json", "model.safetensors", INDEX, "model-1.safetensors"]) {
      const { files } = sharded((at) => at % 3);
      const folder = memoryFolder(files);
      const cause = new Error("EACCES: permission denied, open");
      const throwing: Folder = { open: async (name) => (name === wrong ? Promise.reject(cause) : folder.open(name)) };
      expect(await refusalOf(throwing)).toBe(`${wrong} can't be opened: EACCES: permission denied, open`);
    }
  });

  test("a folder where a file should be", async () => {
    // EISDIR came out of the file system, without a name.
    const path = join(dir, "folder");
    mkdirSync(join(path, "model.safetensors"), { recursive: true });
    writeFileSync(join(path, "config.json"), JSON.stringify(smallHfConfig));
    const folder = nodeFolder(path);
    expect(await refusalOf(folder)).toMatch(/^model\.safetensors: /);
    await folder.close();
  });
});
