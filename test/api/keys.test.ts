/** The secret, the keys derived from it, and API keys: nobody makes one who does not hold the secret. */

import { createHash, createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createKey, readKey } from "../../shared/api/keys.ts";
import { createSecrets } from "../../shared/api/secrets.ts";
import { testSecret } from "./node-tenants.ts";

const secrets = createSecrets(testSecret);
const tenant = fc.stringMatching(/^[a-z0-9]{1,32}$/);

describe("API keys", () => {
  test("say whose they are, and hash to what is stored", async () => {
    await fc.assert(
      fc.asyncProperty(tenant, async (owner) => {
        const { key, id, sha256 } = await createKey(secrets, owner);
        expect(key).toMatch(new RegExp(`^sk-${owner}-${id}[0-9a-f]{48}$`));
        expect(sha256).toBe(createHash("sha256").update(key).digest("hex"));
        expect(await readKey(secrets, key)).toStrictEqual({ tenant: owner, id, sha256 });
      }),
    );
  });

  test("with any one letter changed are refused", async () => {
    const { key } = await createKey(secrets, "acme");
    for (let at = 0; at < key.length; at++)
      for (const letter of "0123456789abcdefghijklmnopqrstuvwxyzABCDEF-_ \n") {
        if (letter === key[at]) continue;
        const changed = key.slice(0, at) + letter + key.slice(at + 1);
        expect(await readKey(secrets, changed), changed).toBeTypeOf("string");
      }
    for (const changed of [`${key}0`, key.slice(0, -2), ` ${key}`, `${key}\n`, key.toUpperCase(), "", "sk-acme-"])
      expect(await readKey(secrets, changed), changed).toBe("malformed");
  });

  test("belong to one tenant and one deployment", async () => {
    const { key } = await createKey(secrets, "acme");
    expect(await readKey(secrets, key.replace("acme", "other"))).toBe("forged");
    expect(await readKey(createSecrets("f".repeat(64)), key)).toBe("forged");
  });

  test("are never the same twice", async () => {
    const keys = await Promise.all(Array.from({ length: 200 }, () => createKey(secrets, "acme")));
    expect(new Set(keys.map(({ id }) => id)).size).toBe(200);
  });

  test.each(["", "Acme", "a".repeat(33), "a-b", "a/0"])("are not made for a tenant named %j", async (name) => {
    await expect(createKey(secrets, name)).rejects.toThrow(/expected 1 to 32/);
  });
});

describe("the deployment's secret", () => {
  test("gives each purpose a key of its own, as documented", async () => {
    const master = Buffer.from(testSecret, "hex");
    const derived = (purpose: string) => createHmac("sha256", master).update(`aerie/v1/${purpose}`).digest();
    expect(await secrets.adminToken()).toBe(`admin-${derived("admin").toString("hex")}`);
    for (const purpose of ["id", "api-key", "prefix", "idempotency", "state-file"] as const) {
      const framed = Buffer.concat([Buffer.from([0, 0, 0, 2]), Buffer.from("nx")]);
      const expected = createHmac("sha256", derived(purpose)).update(framed).digest();
      expect(await secrets.mac(purpose, "nx")).toStrictEqual(new Uint8Array(expected));
    }
  });

  test("frames what it signs: parts that join to the same bytes have other MACs", async () => {
    const macs = await Promise.all(
      [["ab", "c"], ["a", "bc"], ["abc"], ["abc", ""], ["", "abc"]].map(async (parts) =>
        Buffer.from(await secrets.mac("id", ...parts)).toString("hex"),
      ),
    );
    expect(new Set(macs).size).toBe(5);
  });

  test("takes a MAC cut to 8 bytes, but none that is shorter, longer or another's", async () => {
    const mac = await secrets.mac("id", "text");
    for (const length of [8, 12, 32]) expect(await secrets.verify("id", mac.subarray(0, length), "text")).toBe(true);
    for (const length of [0, 1, 7]) expect(await secrets.verify("id", mac.subarray(0, length), "text")).toBe(false);
    expect(await secrets.verify("id", new Uint8Array([...mac, 0]), "text")).toBe(false);
    expect(await secrets.verify("api-key", mac, "text")).toBe(false);
    expect(await secrets.verify("id", mac, "texts")).toBe(false);
  });

  test.each([
    ["none", undefined, "has no AERIE_SECRET"],
    ["an empty one", " \n", "has no AERIE_SECRET"],
    ["too short a one", "abcd", "expected 64 hexadecimal digits, found 4 of them"],
    ["a password", "correct horse battery staple", "found 28 characters that are not all hexadecimal digits"],
    ["one digit too many", `${testSecret}0`, "found 65 "],
  ])("%s: every use is a 503 that says what to set", async (_what, secret, sentence) => {
    const none = createSecrets(secret);
    for (const use of [
      () => none.mac("id", "text"),
      () => none.verify("id", new Uint8Array(8), "text"),
      () => none.adminToken(),
      async () => none.check(),
    ])
      await expect(use()).rejects.toMatchObject({
        status: 503,
        code: "not_configured",
        message: expect.stringContaining(sentence),
      });
    await expect(none.adminToken()).rejects.toThrow(/openssl rand -hex 32 \| npx wrangler secret put AERIE_SECRET/);
    if (secret?.trim()) await expect(none.adminToken()).rejects.not.toThrow(secret);
  });

  test("may be written in capitals and end in a newline", async () => {
    const same = createSecrets(`${testSecret.toUpperCase()}\n`);
    expect(await same.adminToken()).toBe(await secrets.adminToken());
  });
});
