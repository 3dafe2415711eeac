/** AERIE_MODELS: read strictly, and wrong ones named. */

import { expect, test } from "vitest";
import { parseCatalogue } from "../../durable-objects/model-catalogue.ts";

const small = { id: "small", source: "assets", path: "models/small" };
const other = { id: "other.2b:q4", source: "r2", path: "other" };

test("the default is the one that says so, else the first", () => {
  expect(parseCatalogue(JSON.stringify([small, other])).map(({ isDefault }) => isDefault)).toStrictEqual([true, false]);
  expect(parseCatalogue(JSON.stringify([small, { ...other, default: true }]))).toStrictEqual([
    { ...small, isDefault: false, isDownloadable: false },
    { ...other, isDefault: true, isDownloadable: false },
  ]);
});

test("weights are handed out only where that is said", () => {
  const models = [small, { ...other, download: true }];
  expect(parseCatalogue(JSON.stringify(models)).map(({ isDownloadable }) => isDownloadable)).toStrictEqual([
    false,
    true,
  ]);
});

test.each<[string, string | undefined, RegExp]>([
  ["nothing", undefined, /AERIE_MODELS: it is not set/],
  ["no JSON", "small", /it is not JSON/],
  ["no list", "{}", /expected array/],
  ["an empty list", "[]", /expected at least one model/],
  ["a source that is none", JSON.stringify([{ ...small, source: "kv" }]), /\[0\.source\]: /],
  ["a field that is none", JSON.stringify([{ ...small, folder: "x" }]), /Unrecognized key/],
  ["a path out of the bucket", JSON.stringify([{ ...small, path: "../other" }]), /\[0\.path\]: expected a folder/],
  ["an id with a blank", JSON.stringify([{ ...small, id: "a b" }]), /\[0\.id\]: expected/],
  ["an id twice", JSON.stringify([small, small]), /the id small is there twice/],
  [
    "two defaults",
    JSON.stringify([small, other].map((entry) => ({ ...entry, default: true }))),
    /small and other\.2b:q4 are all "default"/,
  ],
])("%s is named", (_what, text, sentence) => {
  expect(() => parseCatalogue(text)).toThrow(sentence);
  expect(() => parseCatalogue(text)).toThrow('Expected a list such as [{"id":"my-model"');
});
