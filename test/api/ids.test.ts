/** Ids: they come back as they went, and nothing that was changed by anyone comes back at all. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createIds } from "../../shared/api/ids.ts";
import { createSecrets } from "../../shared/api/secrets.ts";
import type { IdTarget } from "../../shared/api/services.ts";
import { fromBase64Url, fromHex, toBase64Url, toHex } from "../../shared/bytes.ts";
import { testSecret } from "./node-tenants.ts";

const ids = createIds(createSecrets(testSecret));
const kinds = ["conversation", "response", "item"] as const;
const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

const object = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(toHex);
const number = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const target: fc.Arbitrary<IdTarget> = fc.oneof(
  fc.record(
    { kind: fc.constantFrom("conversation" as const, "response" as const), object, number },
    { noNullPrototype: true },
  ),
  fc.record(
    { kind: fc.constant("item" as const), object, number, index: fc.integer({ min: -1, max: 2 ** 15 - 1 }) },
    { noNullPrototype: true },
  ),
);
const tenant = fc.stringMatching(/^[a-z0-9]{1,32}$/);

describe("ids", () => {
  test("come back as they went", async () => {
    await fc.assert(
      fc.asyncProperty(tenant, target, async (owner, named) => {
        const id = await ids.encode(owner, named);
        expect(id).toMatch(/^(conv|resp|msg)_[A-Za-z0-9_-]{64,67}$/);
        expect(await ids.decode(owner, named.kind, id)).toStrictEqual(named);
      }),
    );
  });

  test("of one tenant never decode for another, nor under another deployment's secret", async () => {
    const elsewhere = createIds(createSecrets("f".repeat(64)));
    await fc.assert(
      fc.asyncProperty(tenant, tenant, target, async (owner, other, named) => {
        fc.pre(owner !== other);
        const id = await ids.encode(owner, named);
        expect(await ids.decode(other, named.kind, id)).toBeNull();
        expect(await elsewhere.decode(owner, named.kind, id)).toBeNull();
      }),
    );
  });

  test("of one kind are none of another, whatever their prefix says", async () => {
    await fc.assert(
      fc.asyncProperty(tenant, target, async (owner, named) => {
        const id = await ids.encode(owner, named);
        for (const kind of kinds) {
          if (kind === named.kind) continue;
          const prefix = { conversation: "conv_", response: "resp_", item: "msg_" }[kind];
          expect(await ids.decode(owner, kind, id)).toBeNull();
          expect(await ids.decode(owner, kind, prefix + id.slice(id.indexOf("_") + 1))).toBeNull();
        }
      }),
    );
  });

  test.each([
    { kind: "conversation", object: "ab".repeat(32), number: 1 },
    { kind: "response", object: "00".repeat(32), number: 2 ** 32 - 1 },
    { kind: "item", object: "ff".repeat(32), number: 0, index: -1 },
  ] as const satisfies IdTarget[])("with any one bit or letter changed are refused: $kind", async (named) => {
    const id = await ids.encode("default", named);
    const body = id.slice(id.indexOf("_") + 1);
    const prefix = id.slice(0, -body.length);
    const bytes = fromBase64Url(body)!;
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = bytes.slice();
      changed[bit >> 3] ^= 1 << (bit & 7);
      expect(await ids.decode("default", named.kind, prefix + toBase64Url(changed)), `bit ${bit}`).toBeNull();
    }
    // Letters too: the last of an item's 67 has spare bits, which would else give it four spellings.
    for (let at = 0; at < id.length; at++)
      for (const letter of `${letters}=+/ ~é`) {
        if (letter === id[at]) continue;
        const changed = id.slice(0, at) + letter + id.slice(at + 1);
        expect(await ids.decode("default", named.kind, changed), changed).toBeNull();
      }
    for (const changed of [
      "",
      prefix,
      body,
      `${id}A`,
      id.slice(0, -1),
      ` ${id}`,
      `${id}=`,
      `${id}\n`,
      id.toUpperCase(),
    ])
      expect(await ids.decode("default", named.kind, changed), changed).toBeNull();
  });

  test("hold what fits and refuse to name anything else", async () => {
    const good = { kind: "conversation", object: "0".repeat(64), number: 0 } as const;
    for (const wrong of [
      { ...good, object: "A".repeat(64) },
      { ...good, object: "0".repeat(62) },
      { ...good, number: -1 },
      { ...good, number: 2 ** 32 },
      { ...good, number: 0.5 },
      { ...good, kind: "item" as const, index: 2 ** 15 },
      { ...good, kind: "item" as const, index: -2 },
    ])
      await expect(ids.encode("default", wrong)).rejects.toThrow(/expected/);
  });

  test("are arbitrary text to whoever reads them: no text throws", async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary" }), fc.constantFrom(...kinds), async (text, kind) => {
        expect(await ids.decode("default", kind, text)).toBeNull();
      }),
    );
  });
});

describe("bytes as text", () => {
  test("come back, and have one spelling", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 70 }), (bytes) => {
        expect(toBase64Url(bytes)).toBe(Buffer.from(bytes).toString("base64url"));
        expect(fromBase64Url(toBase64Url(bytes))).toStrictEqual(new Uint8Array(bytes));
        expect(fromHex(toHex(bytes))).toStrictEqual(new Uint8Array(bytes));
      }),
    );
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Za-z0-9_-]{0,12}$/), (text) => {
        const bytes = fromBase64Url(text);
        if (bytes) expect(toBase64Url(bytes)).toBe(text);
      }),
    );
    for (const text of ["A", "AB", "AAB", "AA==", "A+", "A/"]) expect(fromBase64Url(text), text).toBeNull();
    for (const text of ["0", "AB", "0x", " 00"]) expect(fromHex(text), text).toBeNull();
  });
});
