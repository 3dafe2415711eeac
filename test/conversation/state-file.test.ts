/** State files: what is written is read back, and whatever else comes is refused in a sentence, before it costs anything. */

import { createHash, createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RefusedError } from "../../shared/conversation/refusal.ts";
import { readStateFile, type StateHeader, writeStateFile } from "../../shared/conversation/state-file.ts";
import { toBytes } from "../../shared/conversation/token-log.ts";
import { parseHfConfig } from "../../shared/model/hf-config.ts";
import { stateLayout } from "../../shared/model/state-layout.ts";
import { smallHfConfig } from "../model/random-model.ts";

const layout = stateLayout(parseHfConfig(smallHfConfig), "f16");
const digest = async (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const signWith = (key: string) => async (bytes: Uint8Array) =>
  new Uint8Array(createHmac("sha256", key).update(bytes).digest());

const header: Omit<StateHeader, "sections"> = {
  model: "small",
  digest: "d".repeat(64),
  tenant: "default",
  position: 5,
  replyTokens: 2,
  profile: "f16",
  instructions: null,
  system: "",
};

type Sections = Parameters<typeof writeStateFile>[1];
const state = new Uint8Array(layout.bytes).map((_, at) => (at % 2 === 0 ? at & 0x3f : 0x3c));
const usual: Sections = [
  ["state", state],
  ["log", toBytes([2, 3, 4, 5, 6])],
  ["items", new TextEncoder().encode('[{"role":"user","content":"Hi"}]')],
];

async function write(options: { header?: Partial<StateHeader>; sections?: Sections; key?: string } = {}) {
  const pieces = await writeStateFile(
    { ...header, ...options.header },
    options.sections ?? usual,
    digest,
    signWith(options.key ?? "key"),
  );
  return Buffer.concat(pieces);
}

/** In pieces of any size. */
function read(bytes: Uint8Array, pieceBytes = 1000) {
  let at = 0;
  const file = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, at + pieceBytes));
      at += pieceBytes;
    },
  });
  return readStateFile(file, { tenant: "default", sign: signWith("key"), digest, layoutOf: async () => layout });
}

async function refusal(bytes: Uint8Array): Promise<string> {
  const error = await read(bytes).then(
    () => "it was accepted",
    (error: unknown) => error,
  );
  if (!(error instanceof RefusedError)) throw error;
  expect(error.refusal).toMatchObject({ status: 400, code: "invalid_state_file" });
  return error.message;
}

test("what is written is read back, in pieces of any size", async () => {
  const bytes = await write();
  for (const pieceBytes of [1, 7, 64, 100_000]) {
    const { header: found, sections } = await read(bytes, pieceBytes);
    expect(found).toMatchObject(header);
    expect([...(sections.state as Uint8Array)]).toStrictEqual([...state]);
    expect([...(sections.log as Uint8Array)]).toStrictEqual([...usual[1][1]]);
  }
});

describe("refused", () => {
  test("with any bit changed", async () => {
    const bytes = await write();
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), fc.nat(7), async (at, bit) => {
        const changed = Uint8Array.from(bytes);
        changed[at] ^= 1 << bit;
        expect(await refusal(changed)).toMatch(/^state file: /);
      }),
      { numRuns: 400 },
    );
  });

  test("cut off anywhere", async () => {
    const bytes = await write();
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), async (length) => {
        expect(await refusal(bytes.subarray(0, length))).toMatch(/the file ends after \d+/);
      }),
      { numRuns: 200 },
    );
  });

  test("whatever it is", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        await refusal(bytes);
      }),
      { numRuns: 300 },
    );
  });

  test.each([
    ["bytes behind its end", async () => Buffer.concat([await write(), Buffer.from([0])]), "found more"],
    ["another deployment's MAC", () => write({ key: "other" }), "MAC is not this deployment's"],
    ["another tenant", () => write({ header: { tenant: "mallory" } }), "exported by another tenant"],
    [
      "a state of another size",
      () => write({ sections: [["state", state.subarray(4)]] }),
      `${layout.bytes} bytes, found`,
    ],
    ["no state", () => write({ sections: [usual[1]] }), "found no such section"],
    [
      "a log of another length",
      () => write({ sections: [usual[0], ["log", toBytes([1])]] }),
      "4 bytes per token, found 4",
    ],
    ["a section twice", () => write({ sections: [usual[0], usual[0]] }), "a section twice"],
    ["a reply longer than all", () => write({ header: { replyTokens: 6 } }), "a reply of at most 5 tokens, found 6"],
    [
      "a number that is not finite in the recurrence",
      () => {
        const bytes = state.slice();
        new DataView(bytes.buffer).setFloat32(8, Number.NaN, true);
        return write({ sections: [["state", bytes]] });
      },
      "the number at byte 8 of the state is not finite",
    ],
    [
      "an infinity in the ring",
      () => {
        const bytes = state.slice();
        new DataView(bytes.buffer).setUint16(layout.recurrentBytes + 2, 0x7c00, true);
        return write({ sections: [["state", bytes]] });
      },
      `the number at byte ${layout.recurrentBytes + 2} of the state is not finite`,
    ],
  ])("%s", async (_, make, sentence) => {
    expect(await refusal(await make())).toContain(sentence);
  });

  test("a header that announces more than it may, before any of it is read", async () => {
    const bytes = Uint8Array.from(await write());
    new DataView(bytes.buffer).setUint32(12, 0xffffffff, true);
    expect(await refusal(bytes)).toContain("a header of at most 65536 bytes, found 4294967295");
  });
});
