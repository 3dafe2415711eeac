/** GET /v1/models/{model}/bundle/{file}: whole files and ranges, conditions, and who gets none. */

import { expect, test } from "vitest";
import { expectError, setUp } from "./client.ts";
import { MODEL } from "./fake-services.ts";

const { call } = setUp();
const path = `/v1/models/${MODEL}/bundle/feathers.bin`; // the bytes 0 … 9
const etag = `"${"f".repeat(64)}"`;

const get = async (headers: Record<string, string> = {}, method = "GET") => {
  const { response } = await call(method, path, undefined, headers);
  return {
    status: response.status,
    headers: response.headers,
    bytes: [...new Uint8Array(await response.arrayBuffer())],
  };
};

test("a whole file, with its length and its sha256 as ETag", async () => {
  const { status, headers, bytes } = await get();
  expect([status, bytes]).toStrictEqual([200, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]);
  expect(headers.get("etag")).toBe(etag);
  expect(headers.get("content-length")).toBe("10");
  expect(headers.get("accept-ranges")).toBe("bytes");
  expect(headers.get("access-control-expose-headers")).toContain("content-range");
});

test.each([
  ["bytes=3-", "bytes 3-9/10", [3, 4, 5, 6, 7, 8, 9]],
  ["bytes=0-0", "bytes 0-0/10", [0]],
  ["bytes=8-99", "bytes 8-9/10", [8, 9]],
  ["bytes=-2", "bytes 8-9/10", [8, 9]],
  ["bytes=-99", "bytes 0-9/10", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]],
])("Range: %s", async (range, contentRange, expected) => {
  const { status, headers, bytes } = await get({ range });
  expect([status, headers.get("content-range"), bytes]).toStrictEqual([206, contentRange, expected]);
  expect(headers.get("content-length")).toBe(String(expected.length));
});

test.each(["bytes=0-1,3-4", "bytes=-", "bytes=5-4", "items=0-1", "bytes=a-b"])(
  "Range: %s is not understood: the whole file",
  async (range) => {
    expect(await get({ range })).toMatchObject({ status: 200, bytes: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] });
  },
);

test.each(["bytes=10-", "bytes=-0"])("Range: %s begins behind the end", async (range) => {
  const { status, text } = await call("GET", path, undefined, { range });
  expect(status).toBe(416);
  expectError(text);
  expect(text).toContain("within 10 bytes");
});

test("a range of another version of the file is not handed out: the whole new one is", async () => {
  expect(await get({ range: "bytes=3-", "if-range": etag })).toMatchObject({ status: 206 });
  expect(await get({ range: "bytes=3-", "if-range": '"another"' })).toMatchObject({ status: 200 });
});

test("304 to who has it, a length and no bytes to who asks with HEAD", async () => {
  expect(await get({ "if-none-match": `"x", W/${etag}` })).toMatchObject({ status: 304, bytes: [] });
  const head = await get({}, "HEAD");
  expect(head).toMatchObject({ status: 200, bytes: [] });
  expect(head.headers.get("content-length")).toBe("10");
});

test.each([
  [401, path, { authorization: "" }, "missing_api_key|invalid_api_key"],
  [403, "/v1/models/other/bundle/manifest.json", {}, "model_not_downloadable"],
  [404, "/v1/models/none/bundle/manifest.json", {}, "model_not_found"],
  [404, `/v1/models/${MODEL}/bundle/secrets.bin`, {}, "file_not_found"],
  [404, `/v1/models/${MODEL}/bundle/..%2Ffeathers.bin`, {}, "file_not_found"],
])("%i for %s", async (expected, url, headers: Record<string, string>, code) => {
  const { status, text } = await call("GET", url, undefined, headers);
  expect(status).toBe(expected);
  expectError(text);
  expect(JSON.parse(text).error.code).toMatch(new RegExp(`^(${code})$`));
});
