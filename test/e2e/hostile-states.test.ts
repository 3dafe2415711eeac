/** State files that were damaged, cut, stretched or made up, some of them signed with the deployment's own key. */

import { createHash } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createSecrets } from "../../shared/api/secrets.ts";
import { defaultManifest } from "./default-model.ts";
import { ask, type Json, type Reply, randomOf, send } from "./http.ts";
import { Runtime } from "./runtime.ts";

const PREFIX_BYTES = 16;
const MAC_BYTES = 32;
const headers = { "content-type": "application/octet-stream" };

interface Section {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}
interface Header {
  readonly position: number;
  readonly replyTokens: number;
  readonly sections: readonly Section[];
  readonly [field: string]: unknown;
}

let runtime: Runtime;
let key: string;
let conversation: string;
let file: Uint8Array;
let header: Header;
let sections: Uint8Array[];

beforeAll(async () => {
  runtime = await Runtime.start({ requestsPerMinute: 100_000 });
  key = await runtime.key();
  conversation = (await ask(runtime, key, "POST", "/v1/conversations", {})).id;
  await ask(runtime, key, "POST", "/v1/responses", {
    input: "Hello.",
    max_output_tokens: 20,
    temperature: 0,
    conversation,
  });
  const state = `${runtime.url}/v1/conversations/${conversation}/state`;
  file = new Uint8Array(await (await fetch(state, { headers: { authorization: `Bearer ${key}` } })).arrayBuffer());
  const length = new DataView(file.buffer).getUint32(12, true);
  header = JSON.parse(new TextDecoder().decode(file.subarray(PREFIX_BYTES, PREFIX_BYTES + length))) as Header;
  let at = PREFIX_BYTES + length + MAC_BYTES;
  sections = header.sections.map(({ bytes }) => {
    at += bytes;
    return file.subarray(at - bytes, at);
  });
  expect(at).toBe(file.length);
});
afterAll(() => runtime?.stop());

const put = (body: Uint8Array): Promise<Reply> =>
  send(runtime, key, "PUT", `/v1/conversations/${conversation}/state`, body, { headers });

async function expectRefused(body: Uint8Array, what: string): Promise<void> {
  const { status, text, json } = await put(body);
  expect([400, 404, 409, 413], `${what}: ${status} ${text}`).toContain(status);
  expect(json, what).toMatchObject({
    error: { message: expect.any(String), type: "invalid_request_error", code: expect.any(String) },
  });
}

/** Everything that the conversation shows. Refused files must leave it as it is. */
const shown = async (): Promise<Json> => ask(runtime, key, "GET", `/v1/conversations/${conversation}/items?order=asc`);

async function unharmed(use: () => Promise<void>): Promise<void> {
  const before = await shown();
  await use();
  expect(await shown()).toStrictEqual(before);
  expect((await put(file)).status).toBe(200); // the true file is still taken
}

test("flipped bits, wherever they are", { timeout: 60_000 }, () =>
  unharmed(async () => {
    const random = randomOf(20261122);
    const head = file.length - sections.reduce((sum, { length }) => sum + length, 0);
    const places = Array.from({ length: 220 }, (_, at) =>
      at < 16 ? at : Math.floor(random() * (at < 120 ? head : file.length)),
    );
    for (const at of places) {
      const bad = file.slice();
      bad[at] ^= 1 << Math.floor(8 * random());
      await expectRefused(bad, `byte ${at}`);
    }
  }),
);

test("cut off, stretched, empty, twice", () =>
  unharmed(async () => {
    const random = randomOf(7);
    for (const length of [
      0,
      1,
      7,
      8,
      15,
      16,
      17,
      60,
      file.length - 1,
      ...Array.from({ length: 20 }, () => Math.floor(random() * file.length)),
    ])
      await expectRefused(file.slice(0, length), `its first ${length} bytes`);
    for (const more of [1, 4, 4096]) {
      const longer = new Uint8Array(file.length + more);
      longer.set(file);
      await expectRefused(longer, `${more} bytes more`);
    }
    await expectRefused(Uint8Array.from([...file, ...file]), "twice");
    await expectRefused(new Uint8Array(33 * 1024 * 1024), "33 MiB of zeros");
    await expectRefused(file.slice().reverse(), "backwards");
  }));

test("lengths and versions in the first bytes", () =>
  unharmed(async () => {
    const { length } = new TextEncoder().encode(JSON.stringify(header));
    for (const wrong of [0, 1, length - 1, length + 1, 65_535, 65_536, 65_537, 2 ** 31, 2 ** 32 - 1]) {
      const bad = file.slice();
      new DataView(bad.buffer).setUint32(12, wrong, true);
      await expectRefused(bad, `a header of ${wrong} bytes`);
    }
    for (const version of [0, 2, 2 ** 32 - 1]) {
      const bad = file.slice();
      new DataView(bad.buffer).setUint32(8, version, true);
      await expectRefused(bad, `version ${version}`);
    }
  }));

/** A file as this deployment would sign it. What its own key vouches for is parsed with no more trust. */
async function signed(head: unknown, parts: readonly Uint8Array[], secret = runtime.secret): Promise<Uint8Array> {
  const json = new TextEncoder().encode(typeof head === "string" ? head : JSON.stringify(head));
  const start = new Uint8Array(PREFIX_BYTES + json.length);
  start.set(file.subarray(0, 12));
  new DataView(start.buffer).setUint32(12, json.length, true);
  start.set(json, PREFIX_BYTES);
  const mac = await createSecrets(secret).mac("state-file", start);
  return Buffer.concat([start, mac, ...parts]);
}

/** The file with one section's bytes replaced and hashed anew. */
function withSection(name: string, bytes: Uint8Array, rest: Partial<Header> = {}): Promise<Uint8Array> {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const listed = header.sections.map((one) => (one.name === name ? { name, bytes: bytes.length, sha256 } : one));
  const parts = header.sections.map((one, at) => (one.name === name ? bytes : sections[at]));
  return signed({ ...header, sections: listed, ...rest }, parts);
}

test("what is signed below is taken if nothing else is wrong", async () => {
  expect((await put(await signed(header, sections))).status).toBe(200);
});

test("signed, and still absurd", () =>
  unharmed(async () => {
    await expectRefused(await signed(header, sections, "ab".repeat(32)), "another deployment's key");
    const heads: Record<string, unknown> = {
      "no JSON": "{",
      null: "null",
      "a list": "[]",
      "a field more": { ...header, extra: 1 },
      "another tenant": { ...header, tenant: "somebody" },
      "another model": { ...header, model: "nobody" },
      "a model's path": { ...header, model: "../../secrets" },
      "another digest": { ...header, digest: "0".repeat(64) },
      "another profile": { ...header, profile: "f64" },
      "position 0": { ...header, position: 0 },
      "position −1": { ...header, position: -1 },
      "position 1.5": { ...header, position: 1.5 },
      "position 2⁵³": { ...header, position: 2 ** 53 },
      "one position more": { ...header, position: header.position + 1 },
      "a reply longer than the log": { ...header, replyTokens: header.position + 1 },
      "a negative reply": { ...header, replyTokens: -1 },
      "no sections": { ...header, sections: [] },
      "a section twice": { ...header, sections: [header.sections[0], header.sections[0]] },
      "four sections": { ...header, sections: [...header.sections, header.sections[0]] },
      "no state": { ...header, sections: header.sections.slice(1) },
      "a name that is none": { ...header, sections: [{ ...header.sections[0], name: "__proto__" }] },
    };
    for (const [what, head] of Object.entries(heads)) await expectRefused(await signed(head, sections), what);
    for (const [at, section] of header.sections.entries())
      for (const bytes of [0, section.bytes - 1, section.bytes + 1, 2 ** 31, 2 ** 40, 2 ** 53, -1, 0.5]) {
        const listed = header.sections.map((one, index) => (index === at ? { ...one, bytes } : one));
        await expectRefused(await signed({ ...header, sections: listed }, sections), `${section.name}: ${bytes} bytes`);
      }
  }));

test("signed, with numbers that are none and ids that the model does not have", () =>
  unharmed(async () => {
    const state = sections[header.sections.findIndex(({ name }) => name === "state")];
    const log = sections[header.sections.findIndex(({ name }) => name === "log")];
    for (const bits of [0x7fc00000, 0x7f800000, 0xff800000, 0x7f800001]) {
      const bad = state.slice();
      new DataView(bad.buffer).setUint32(0, bits, true);
      await expectRefused(await withSection("state", bad), `a state with ${bits.toString(16)}`);
    }
    await expectRefused(await withSection("state", new Uint8Array(state.length).fill(0xff)), "a state of ones");
    for (const id of [defaultManifest.config.vocabSize, 65_536, 2 ** 31, 2 ** 32 - 1]) {
      const bad = log.slice();
      new DataView(bad.buffer).setUint32(8, id, true);
      await expectRefused(await withSection("log", bad), `id ${id}`);
    }
    await expectRefused(await withSection("log", log.slice(4)), "an id fewer");
  }));
