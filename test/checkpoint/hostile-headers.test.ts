/** Which headers are refused, and with what sentence?  One row per lie. */

import { describe, expect, test } from "vitest";
import type { CheckpointError } from "../../shared/errors.ts";
import { FILE, judge } from "./judge.ts";
import { f32, objectText, safetensorsFile } from "./sources.ts";

const MIB = 2 ** 20;

/** A header of one tensor `a`, [1] F32, some of whose fields lie. */
const withA = (lies: Record<string, unknown>): string => JSON.stringify({ a: { ...f32([1], 0, 4), ...lies } });

/** Likewise, with a field's text as it stands. */
const withText = (field: string, text: string): string => {
  const fields = new Map(Object.entries(f32([1], 0, 4)).map(([key, value]) => [key, JSON.stringify(value)]));
  return objectText([["a", objectText(fields.set(field, text))]]);
};

type Lie = readonly [story: string, header: string | Uint8Array, sentence: string];

// biome-ignore format: a table
const notAHeader: Lie[] = [
  ["nothing", "", `the header of ${FILE} is not valid JSON`],
  ["an array", "[]", `${FILE}: the header must be a JSON object`],
  ["null", "null", `${FILE}: the header must be a JSON object`],
  ["a string", '"a"', `${FILE}: the header must be a JSON object`],
  ["not UTF-8", Uint8Array.of(0x7b, 0xff, 0x7d), `${FILE}: the header is not valid UTF-8`],
  ["UTF-16", Uint8Array.of(0xff, 0xfe, 0x7b, 0, 0x7d, 0), `${FILE}: the header is not valid UTF-8`],
  ["a byte-order mark", "\ufeff{}", `the header of ${FILE} is not valid JSON`],
  ["a second document", "{}{}", `the header of ${FILE} is not valid JSON`],
  ["a NUL as padding", "{}\0", `the header of ${FILE} is not valid JSON`],
  ["a string that does not end", `{"${"a".repeat(100_000)}`, `the header of ${FILE} is not valid JSON`],
  ["a name that ends in half an escape", `{"${"\\".repeat(100_001)}":0}`, `the header of ${FILE} is not valid JSON`],
  ["100,000 brackets", "[".repeat(100_000), `the header of ${FILE} nests deeper than 64 levels`],
  ["100,000 objects", '{"a":'.repeat(100_000), `the header of ${FILE} nests deeper than 64 levels`],
  ["100,000 brackets and back", withText("x", `${"[".repeat(1e5)}${"]".repeat(1e5)}`), "nests deeper than 64 levels"],
  ["a byte more than a MiB", "{}".padEnd(MIB + 1), `${FILE}: the header claims 1048577 bytes, at most 1048576 are possible`],
];

// `JSON.parse` would take the last of two: another reader, the first.
// biome-ignore format: a table
const twoMeanings: Lie[] = [
  ["a tensor's name twice", '{"a":1,"b":2,"a":3}', `the header of ${FILE} has the key "a" twice in one object`],
  ["… in other letters", '{"a":1,"\\u0061":3}', `the header of ${FILE} has the key "a" twice in one object`],
  ["__proto__ twice", '{"__proto__":1,"__proto__":3}', `the header of ${FILE} has the key "__proto__" twice`],
  ["the empty name twice", '{"":1,"":3}', `the header of ${FILE} has the key "" twice in one object`],
  ["an entry's dtype twice", '{"w":{"dtype":"F32","dtype":"F16"}}', `the header of ${FILE} has the key "w.dtype" twice in one object`],
  ["a key of the metadata twice", '{"__metadata__":{"k":"","k":""}}', `the header of ${FILE} has the key "__metadata__.k" twice`],
];

// biome-ignore format: a table
const notATensor: Lie[] = [
  ["metadata that nests", '{"__metadata__":{"k":{}}}', `${FILE}: __metadata__ must map strings to strings`],
  ["metadata that is a list", '{"__metadata__":["k"]}', `${FILE}: __metadata__ must map strings to strings`],
  ["metadata that is null", '{"__metadata__":null}', `${FILE}: __metadata__ must map strings to strings`],
  ["an entry that is null", '{"a":null}', `${FILE}: a: its entry: Invalid input: expected object, received null`],
  ["a nameless entry", '{"":null}', `${FILE}: "": its entry: Invalid input: expected object, received null`],
  ["__proto__, without a dtype", '{"__proto__":{}}', `${FILE}: __proto__: dtype: Invalid input: expected string`],
  ["constructor, a list", '{"constructor":[]}', `${FILE}: constructor: its entry: Invalid input: expected object`],
  ["a name of two lines", '{"a\\nb":0}', `${FILE}: "a\\nb": its entry: Invalid input`],
  ["a name of 100,000 letters", `{"${"a".repeat(100_000)}":0}`, `${FILE}: "${"a".repeat(200)}…": its entry: Invalid input`],
  ["a field of its own", withA({ scale: 1 }), `${FILE}: a: its entry: only dtype, shape and data_offsets may be here`],
  ["no offsets", withA({ data_offsets: undefined }), `${FILE}: a: data_offsets: Invalid input`],
  ["an unknown dtype", withA({ dtype: "Q4_K" }), `${FILE}: a has the unknown dtype "Q4_K"`],
  ["an inherited dtype", withA({ dtype: "toString" }), `${FILE}: a has the unknown dtype "toString"`],
  ["a dtype of 100,000 letters", withA({ dtype: "F".repeat(100_000) }), `${FILE}: a has the unknown dtype "${"F".repeat(200)}…"`],
  ["a shape that is a number", withA({ shape: 1 }), `${FILE}: a: shape: Invalid input: expected array, received number`],
  ["a negative side", withA({ shape: [-1] }), `${FILE}: a: shape.0: Too small`],
  ["half a side", withA({ shape: [1, 0.5] }), `${FILE}: a: shape.1: Invalid input: expected int, received number`],
  ["an infinite side", withText("shape", "[1e400]"), `${FILE}: a: shape.0: Invalid input`],
  ["a side that is NaN", withText("shape", "[NaN]"), `the header of ${FILE} is not valid JSON`],
  ["rank 17", withA({ shape: Array(17).fill(1) }), `${FILE}: a: shape: Too big`],
  ["rank 100,000", withA({ shape: Array(100_000).fill(1) }), `${FILE}: a: shape: Too big`],
  ["2⁵³ elements", withA({ shape: [2 ** 27, 2 ** 26] }), `${FILE}: a has the impossible shape 134217728×67108864 of F32`],
  ["2⁸⁴⁸ elements", withA({ shape: Array(16).fill(2 ** 53 - 1) }), `${FILE}: a has the impossible shape 9007199254740991×`],
  ["half a byte", withA({ dtype: "F4" }), `${FILE}: a has the impossible shape 1 of F4`],
  ["2³² elements in 4 bytes", withA({ shape: [65536, 65536] }), `${FILE}: a of shape 65536×65536 F32 takes 17179869184 bytes, its offsets 0 to 4 hold 4`],
  ["offsets backwards", withA({ data_offsets: [4, 0] }), `${FILE}: a of shape 1 F32 takes 4 bytes, its offsets 4 to 0 hold -4`],
];

const pair = (a: Record<string, unknown>, b: Record<string, unknown>): string => JSON.stringify({ a, b });

// Each has 8 bytes of data behind it. A pair's header has 107 bytes, so its data begin at byte 115.
// biome-ignore format: a table
const notTheFile: Lie[] = [
  ["offsets that overflow", withA({ data_offsets: [2 ** 53 - 5, 2 ** 53 - 1] }), `${FILE}: a begins at byte 9007199254741`],
  ["offsets beyond the data", withA({ data_offsets: [8, 12] }), `${FILE}: a begins at byte 71, expected 63: tensors leave a hole`],
  ["a hole at the front", withA({ data_offsets: [4, 8] }), `${FILE}: a begins at byte 66, expected 62: tensors leave a hole`],
  ["a hole", pair(f32([1], 0, 4), f32([0], 8, 8)), `${FILE}: b begins at byte 123, expected 119: tensors leave a hole`],
  ["an overlap", pair(f32([2], 0, 8), f32([1], 4, 8)), `${FILE}: b begins at byte 119, expected 123: tensors overlap`],
  ["the same bytes twice", pair(f32([2], 0, 8), f32([2], 0, 8)), `${FILE}: b begins at byte 115, expected 123: tensors overlap`],
  ["an empty tensor inside another", pair(f32([2], 0, 8), f32([0], 4, 4)), `${FILE}: b begins at byte 119, expected 123: tensors overlap`],
  ["data that is not there", withA({ shape: [3], data_offsets: [0, 12] }), `${FILE} has 71 bytes, its header accounts for 75`],
  ["data that no tensor holds", withA({}), `${FILE} has 70 bytes, its header accounts for 66`],
];

describe.each([
  { what: "is not a header", lies: notAHeader, dataBytes: 0 },
  { what: "means two things", lies: twoMeanings, dataBytes: 0 },
  { what: "describes no tensor", lies: notATensor, dataBytes: 4 },
  { what: "does not fit the file", lies: notTheFile, dataBytes: 8 },
])("what $what", ({ lies, dataBytes }) => {
  test.each(lies)("%s", async (_, header, sentence) => {
    const error = await judge(safetensorsFile(header, new Uint8Array(dataBytes)));
    expect((error as CheckpointError).message).toContain(sentence);
  });
});

const fields = (size: number): string => Array.from({ length: size / 12 }, (_, at) => `"k${at}":0`).join();

// A schema that lists every wrong item, or a scanner that keeps every blank, takes seconds and half a gigabyte for 8 MiB
// of these: hence the MiB, and no such schema.
test.each([
  ["blanks", "{}".padStart(MIB)],
  ["line breaks", `{${"\n".repeat(MIB - 2)}}`],
  ["escapes", `{"${"\\n".repeat(MIB / 2 - 8)}":0}`],
  ["digits", `{"a":${"9".repeat(MIB - 8)}}`],
  ["lists in a shape", withText("shape", `[${"[],".repeat(MIB / 3 - 40)}0]`)],
  ["lists among offsets", withText("data_offsets", `[${"[],".repeat(MIB / 3 - 40)}0]`)],
  ["fields of an entry", `{"a":{${fields(MIB)}}}`],
  ["metadata that is numbers", `{"__metadata__":{${fields(MIB)}}}`],
  ["tensors that are numbers", `{${fields(MIB)}}`],
])("a MiB of %s is judged at once", { timeout: 5_000 }, async (_, header) => {
  await judge(safetensorsFile(header, new Uint8Array(0)));
});
