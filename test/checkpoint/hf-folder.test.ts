/** Does a Hugging Face folder load as what it is, one file or shards, and is it refused by name where it contradicts itself? */

import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { nodeFolder } from "../../cli/node-folder.ts";
import type { Backend } from "../../shared/backend/backend.ts";
import { referenceBackend } from "../../shared/backend/reference/index.ts";
import type { Folder } from "../../shared/checkpoint/byte-source.ts";
import { openHfCheckpoint } from "../../shared/checkpoint/hf-checkpoint.ts";
import { createState, lastLogits } from "../../shared/engine.ts";
import { CheckpointError } from "../../shared/errors.ts";
import { type LoadModelOptions, loadModel } from "../../shared/load-model.ts";
import { elements, weightTable } from "../../shared/model/weight-table.ts";
import { weightLeaves } from "../../shared/model/weight-tree.ts";
import { randomTokens, smallHfConfig } from "../model/random-model.ts";
import { randomCheckpoint, writeHfFolder } from "../oracle/random-checkpoint.ts";
import { type Dtype, type NamedTensor, writeSafetensors } from "../oracle/safetensors.ts";
import { type MemoryFolder, memoryFolder, safetensorsFile } from "./sources.ts";

const MIB = 2 ** 20;
const INDEX = "model.safetensors.index.json";

/** A random model's tensors in the order of its layers. */
function tensorsOf(config = smallHfConfig, dtype: Dtype = "F32"): NamedTensor[] {
  return [...randomCheckpoint(config, 1, { dtype }).tensors].map(([name, tensor]) => ({ name, dtype, ...tensor }));
}

const tensors = tensorsOf();

const single = (list = tensors, config: unknown = smallHfConfig): MemoryFolder =>
  memoryFolder({ "config.json": config, "model.safetensors": writeSafetensors(list) });

/** Puts every tensor in the shard that `shardOf` says; `lies` replaces or removes (null) places in the index. */
function sharded(shardOf: (at: number) => number, lies: Record<string, string | null> = {}): MemoryFolder {
  const shards = new Map<string, NamedTensor[]>();
  for (const [at, tensor] of tensors.entries()) {
    const file = `model-${shardOf(at)}.safetensors`;
    shards.set(file, [...(shards.get(file) ?? []), tensor]);
  }
  const places = [...shards].flatMap(([file, list]) => list.map(({ name }) => [name, file] as const));
  const weightMap = Object.entries({ ...Object.fromEntries(places), ...lies }).filter(([, file]) => file !== null);
  return memoryFolder({
    "config.json": smallHfConfig,
    [INDEX]: { metadata: { total_size: 1 }, weight_map: Object.fromEntries(weightMap) },
    ...Object.fromEntries([...shards].map(([file, list]) => [file, writeSafetensors(list)])),
  });
}

const prompt = randomTokens(20, smallHfConfig.vocab_size);

async function logitsOf(folder: Folder, options: LoadModelOptions = {}): Promise<Float32Array> {
  const model = await loadModel(folder, referenceBackend, options);
  return lastLogits(model, createState(model), prompt);
}

/** The sentence that loading ends with. */
async function refusalOf(folder: Folder, options: LoadModelOptions = {}): Promise<string> {
  const error = await loadModel(folder, referenceBackend, options).then(
    () => new Error("the folder was not refused"),
    (error: unknown) => error,
  );
  if (!(error instanceof CheckpointError)) throw error;
  return error.message;
}

describe("shards", () => {
  test.each<[string, (at: number) => number]>([
    ["two halves", (at) => Math.floor((2 * at) / tensors.length)],
    ["three, dealt out", (at) => at % 3],
    ["three, last first", (at) => 3 - Math.floor((3 * at) / tensors.length)],
    ["one for each tensor", (at) => at],
    ["one", () => 0],
  ])("give the bits of a single file: %s", async (_, shardOf) => {
    expect(await logitsOf(sharded(shardOf))).toStrictEqual(await logitsOf(single()));
  });

  test("are not looked at beside a single file, nor beside a file that is asked for", async () => {
    const folder = memoryFolder({ ...single().files, [INDEX]: "{", "other.safetensors": writeSafetensors(tensors) });
    const expected = await logitsOf(single());
    expect(await logitsOf(folder)).toStrictEqual(expected);
    expect(await logitsOf(folder, { weightsFile: "other.safetensors" })).toStrictEqual(expected);
    expect(folder.reads.map(({ file }) => file)).not.toContain(INDEX);
    expect(await refusalOf(folder, { weightsFile: "a.safetensors" })).toBe(
      "a.safetensors is missing from the model's folder",
    );
  });

  test("one is missing", async () => {
    const { files } = sharded((at) => at % 3);
    delete files["model-1.safetensors"];
    expect(await refusalOf(memoryFolder(files))).toBe("model-1.safetensors is missing from the model's folder");
  });

  test("one holds a tensor that the index places in another, in none, or that is in two", async () => {
    const { name } = tensors[4];
    expect(await refusalOf(sharded((at) => at % 3, { [name]: "model-0.safetensors" }))).toBe(
      `model-1.safetensors holds ${name}, which ${INDEX} places in model-0.safetensors`,
    );
    expect(await refusalOf(sharded((at) => at % 3, { [name]: null }))).toBe(
      `model-1.safetensors holds ${name}, which ${INDEX} places in no file`,
    );
    const { files } = sharded((at) => at % 3);
    files["model-2.safetensors"] = writeSafetensors(tensors.filter((_, at) => at % 3 === 2 || at === 4));
    expect(await refusalOf(memoryFolder(files))).toBe(
      `model-2.safetensors holds ${name}, which ${INDEX} places in model-1.safetensors`,
    );
  });

  test("the index names a tensor that its shard does not hold", async () => {
    expect(await refusalOf(sharded((at) => at % 3, { "model.layers.9.x": "model-0.safetensors" }))).toBe(
      `${INDEX} places model.layers.9.x in model-0.safetensors, which does not hold it`,
    );
    // A record schema drops this key, and with it the question whether the tensor is there.
    const { files } = sharded((at) => at % 3);
    const index = new TextDecoder().decode(files[INDEX]);
    const lie = index.replace('"weight_map":{', '"weight_map":{"__proto__":"model-0.safetensors",');
    expect(await refusalOf(memoryFolder({ ...files, [INDEX]: lie }))).toBe(
      `${INDEX} places __proto__ in model-0.safetensors, which does not hold it`,
    );
  });

  // biome-ignore format: a table
  const notOfTheFolder = [
    "../x.safetensors", "/etc/x.safetensors", "sub/x.safetensors", "sub\\x.safetensors", "C:x.safetensors",
    "file:x.safetensors", "%2e%2e%2fx.safetensors", ".x.safetensors", "..safetensors", ".safetensors",
    "x.safetensors\n", "x\0.safetensors", "x.safetensors/", "x.bin", "pytorch_model.bin", "config.json", "..", "",
    `${"x".repeat(10_000)}.pt`,
  ];

  test.each(notOfTheFolder.map((file) => [JSON.stringify(file).slice(0, 40), file]))(
    "the index names %s: no such file is opened",
    async (_, file) => {
      const asked: string[] = [];
      const { files } = sharded((at) => at % 3, { [tensors[0].name]: file });
      const folder = memoryFolder({ ...files, [file]: files["model-0.safetensors"], "config.json": smallHfConfig });
      const watched: Folder = {
        open(name) {
          asked.push(name);
          return folder.open(name);
        },
      };
      const sentence = await refusalOf(watched);
      expect(sentence).toMatch(
        /^model\.safetensors\.index\.json names ".*", which is not a \.safetensors file of the folder$/,
      );
      expect(sentence.length).toBeLessThan(400);
      expect(asked.filter((name) => name === file && name !== "config.json")).toStrictEqual([]);
    },
  );

  test.each([
    ["no JSON", "{", `${INDEX} is not valid JSON`],
    ["a list", [], `${INDEX}: weight_map must map tensor names to file names`],
    ["no weight_map", {}, `${INDEX}: weight_map must map tensor names to file names`],
    ["a weight_map that is a list", { weight_map: ["a.safetensors"] }, `${INDEX}: weight_map must map`],
    ["a file that is a number", { weight_map: { a: 1 } }, `${INDEX}: weight_map must map`],
    ["a file that is a list", { weight_map: { a: ["b.safetensors"] } }, `${INDEX}: weight_map must map`],
    ["a tensor twice", '{"weight_map":{"a":"x","a":"y"}}', `${INDEX} has the key "weight_map.a" twice in one object`],
    ["more than a MiB", " ".repeat(MIB + 1), `${INDEX} has 1048577 bytes, at most 1048576 are accepted`],
    ["bytes", Uint8Array.of(0xff), `${INDEX} is not valid UTF-8 text`],
  ])("the index is wrong: %s", async (_, index, sentence) => {
    expect(await refusalOf(memoryFolder({ "config.json": smallHfConfig, [INDEX]: index }))).toContain(sentence);
  });
});

describe("the output matrix", () => {
  const untied = { ...smallHfConfig, tie_word_embeddings: false };
  const untiedTensors = tensorsOf(untied);
  const lmHead = untiedTensors.find(({ name }) => name === "lm_head.weight")!;

  test("is stored where the config says untied, and used", async () => {
    const logits = await logitsOf(single(untiedTensors, untied));
    expect(logits).not.toStrictEqual(await logitsOf(single()));
    expect(await refusalOf(single(tensors, untied))).toBe("lm_head.weight is missing from the checkpoint");
  });

  test("is a copy where the config says tied, as in RecurrentGemma-9B's files: not read, whatever is in it", async () => {
    const expected = await logitsOf(single());
    const nan = { ...lmHead, data: lmHead.data.map(() => Number.NaN) };
    const other = { name: lmHead.name, dtype: "F16" as const, shape: [3], data: Float64Array.of(1, 2, 3) };
    for (const copy of [{ ...tensors[0], name: lmHead.name }, lmHead, nan, other]) {
      const folder = single([...tensors, copy]);
      expect(await logitsOf(folder)).toStrictEqual(expected);
      const { length } = folder.files["model.safetensors"];
      const copyBytes = copy.data.length * (copy.dtype === "F32" ? 4 : 2);
      const furthest = Math.max(...folder.reads.map((read) => (read.length === 1 ? 0 : read.offset + read.length)));
      expect(furthest).toBe(length - copyBytes);
    }
  });
});

describe("tensors that don't fit the config", () => {
  test("every one that may be missing or have another shape is named", async () => {
    const { config } = await openHfCheckpoint(single());
    const specs = weightLeaves(weightTable(config));
    expect(specs.map(({ name }) => name).sort()).toStrictEqual(tensors.map(({ name }) => name).sort());
    for (const { name, shape } of specs) {
      expect(await refusalOf(single(tensors.filter((tensor) => tensor.name !== name)))).toBe(
        `${name} is missing from the checkpoint`,
      );
      const longer = [shape[0] + 1, ...shape.slice(1)];
      const data = new Float64Array(longer.reduce((product, side) => product * side, 1));
      const found = tensors.map((tensor) => (tensor.name === name ? { ...tensor, shape: longer, data } : tensor));
      expect(await refusalOf(single(found))).toBe(
        `${name} has shape ${longer.join("×")}, the config asks for ${shape.join("×")}`,
      );
    }
  });

  test("as many elements in another shape are another tensor", async () => {
    const name = "model.layers.0.temporal_block.linear_x.weight"; // [48, 32]
    for (const shape of [[32, 48], [1536], [48, 32, 1], [1, 48, 32]]) {
      const found = tensors.map((tensor) => (tensor.name === name ? { ...tensor, shape } : tensor));
      expect(await refusalOf(single(found))).toBe(`${name} has shape ${shape.join("×")}, the config asks for 48×32`);
    }
  });

  test.each(["model.layers.4.channel_pre_norm.weight", "embed_tokens.weight", "lm_head.bias", "__proto__", ""])(
    "one more, %j, is named",
    async (name) => {
      // Not by the oracle's writer, whose header is an object and would lose `__proto__`.
      const { files } = single();
      const { header, data } = partsOf(files["model.safetensors"]);
      const entry = JSON.stringify({ dtype: "F32", shape: [0], data_offsets: [0, 0] });
      files["model.safetensors"] = safetensorsFile(header.replace("{", `{${JSON.stringify(name)}:${entry},`), data);
      const shown = /^[\w.-]+$/.test(name) ? name : JSON.stringify(name);
      expect(await refusalOf(memoryFolder(files))).toBe(
        `the checkpoint holds ${shown}, which the config has no place for`,
      );
    },
  );

  test("another dtype is named before any weight is read", async () => {
    // It was found when its turn came: for the last tensor of 9B, after seventeen gigabytes.
    const { files } = single();
    const { header, data } = partsOf(files["model.safetensors"]);
    const entries = JSON.parse(header);
    entries["model.final_norm.weight"].dtype = "I32";
    const folder = memoryFolder({ ...files, "model.safetensors": safetensorsFile(JSON.stringify(entries), data) });
    expect(await refusalOf(folder)).toBe(
      "model.safetensors: model.final_norm.weight has dtype I32, expected F32, BF16 or F16",
    );
    expect(folder.reads.filter(({ file }) => file === "model.safetensors")).toHaveLength(3); // length, header, last byte
  });

  test("a weight that is not finite is named by its file, its tensor and its element", async () => {
    const name = "model.layers.2.temporal_block.k_proj.weight";
    const found = tensors.map((tensor) =>
      tensor.name === name ? { ...tensor, data: tensor.data.with(17, Number.NEGATIVE_INFINITY) } : tensor,
    );
    expect(await refusalOf(single(found))).toBe(
      `model.safetensors: ${name} has -Infinity at element 17, expected finite numbers`,
    );
  });
});

function partsOf(file: Uint8Array): { header: string; data: Uint8Array } {
  const dataStart = 8 + Number(new DataView(file.buffer).getBigUint64(0, true));
  return { header: new TextDecoder().decode(file.subarray(8, dataStart)), data: file.slice(dataStart) };
}

describe("the folder's other files", () => {
  test.each([
    ["no config", {}, "config.json is missing from the model's folder"],
    ["no weights", { "config.json": smallHfConfig }, "the folder holds neither model.safetensors nor"],
    ["a config cut off", { "config.json": '{"model_type":' }, "config.json is not valid JSON: "],
    [
      "a config with a key twice",
      { "config.json": '{"a":1,"a":2}' },
      'config.json has the key "a" twice in one object',
    ],
    [
      "a config of a disk image",
      { "config.json": " ".repeat(MIB + 1) },
      "config.json has 1048577 bytes, at most 1048576",
    ],
    ["a config in Latin-1", { "config.json": Uint8Array.of(0x22, 0xe9, 0x22) }, "config.json is not valid UTF-8 text"],
    ["a generation config that is a list", generationConfig([]), "generation_config.json: eos_token_id must be"],
    [
      "one whose id is a word",
      generationConfig({ eos_token_id: "</s>" }),
      "generation_config.json: eos_token_id must be",
    ],
    [
      "one with half an id",
      generationConfig({ eos_token_id: [1, 1.5] }),
      "generation_config.json: eos_token_id must be",
    ],
    [
      "one with 65 ids",
      generationConfig({ eos_token_id: Array(65).fill(1) }),
      "generation_config.json: eos_token_id must be",
    ],
  ])("%s", async (_, files, sentence) => {
    expect(await refusalOf(memoryFolder(files))).toContain(sentence);
  });

  test("the ids that end a generation come from both configs", async () => {
    const eosIds = async (own: unknown, generation: unknown) => {
      const config = { ...smallHfConfig, eos_token_id: own };
      const more = generation === undefined ? {} : { "generation_config.json": { eos_token_id: generation } };
      return (await openHfCheckpoint(memoryFolder({ ...single(tensors, config).files, ...more }))).config.eosIds;
    };
    expect(await eosIds(undefined, undefined)).toStrictEqual([1]);
    expect(await eosIds(1, [1, 49])).toStrictEqual([1, 49]);
    expect(await eosIds([1, 7], 9)).toStrictEqual([1, 7, 9]);
    expect(await eosIds([3], null)).toStrictEqual([3]);
    await expect(eosIds(1, 50)).rejects.toThrow("config: eosIds must be a token id below vocabSize = 50, found 50");
  });
});

function generationConfig(json: unknown): Record<string, unknown> {
  return { "config.json": smallHfConfig, "generation_config.json": json };
}

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
