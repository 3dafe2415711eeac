import { describe, expect, test } from "vitest";
import type { Folder } from "../../shared/checkpoint/byte-source.ts";
import { openHfCheckpoint } from "../../shared/checkpoint/hf-checkpoint.ts";
import { weightTable } from "../../shared/model/weight-table.ts";
import { weightLeaves } from "../../shared/model/weight-tree.ts";
import { smallHfConfig } from "../model/random-model.ts";
import { writeSafetensors } from "../oracle/safetensors.ts";
import { INDEX, logitsOf, MIB, partsOf, refusalOf, sharded, single, tensors, tensorsOf } from "./hf-folders.ts";
import { memoryFolder, safetensorsFile } from "./sources.ts";

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
