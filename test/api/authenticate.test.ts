/** Who gets in: holders of a key that a tenant's object holds. Everyone else gets a sentence that gives nothing away. */

import { beforeEach, describe, expect, test } from "vitest";
import { ApiError, errorBodyOf } from "../../shared/api/api-error.ts";
import { createAuthenticator, KEY_CACHE_SECONDS } from "../../shared/api/authenticate.ts";
import { createKey } from "../../shared/api/keys.ts";
import { createSecrets } from "../../shared/api/secrets.ts";
import type { Identity } from "../../shared/api/services.ts";
import { type NodeTenants, nodeTenants, testSecret } from "./node-tenants.ts";

const secrets = createSecrets(testSecret);
let tenants: NodeTenants;
let authenticate: (header: string | null) => Promise<Identity>;

beforeEach(() => {
  tenants = nodeTenants();
  authenticate = createAuthenticator({ secrets, tenant: tenants.tenant, now: () => tenants.clock.now });
});

/** A key that its tenant holds. */
async function heldKey(tenant = "default"): Promise<{ key: string; id: string }> {
  const { key, id, sha256 } = await createKey(secrets, tenant);
  await tenants.tenant(tenant).addKey({ id, name: "test", sha256 });
  tenants.reached.length = 0;
  return { key, id };
}

async function refusal(header: string | null): Promise<ApiError> {
  const error = await authenticate(header).catch((thrown: unknown) => thrown);
  if (!(error instanceof ApiError)) throw new Error(`expected a refusal, found ${JSON.stringify(error)}`);
  return error;
}

describe("authenticate", () => {
  test.each([
    ["as the official client sends it", (key: string) => `Bearer ${key}`],
    ["with the scheme in lower case", (key: string) => `bearer ${key}`],
    ["with spaces around", (key: string) => `  Bearer   ${key} `],
  ])("a held key is its tenant's: %s", async (_what, header) => {
    const { key, id } = await heldKey("acme");
    expect(await authenticate(header(key))).toStrictEqual({ tenant: "acme", keyId: id });
  });

  test.each([
    ["no header", null, "missing_api_key"],
    ["an empty header", "", "missing_api_key"],
    ["another scheme", "Basic c2stZGVmYXVsdDo=", "missing_api_key"],
    ["no key behind the scheme", "Bearer ", "missing_api_key"],
    ["two keys", "Bearer sk-a sk-b", "missing_api_key"],
    ["OpenAI's own key", "Bearer sk-proj-0123456789", "invalid_api_key"],
    ["a line break", "Bearer sk-default\n", "invalid_api_key"],
    ["the admin's token", `Bearer admin-${"0".repeat(64)}`, "invalid_api_key"],
    ["a tenant with a slash", `Bearer sk-default/0-${"0".repeat(64)}`, "invalid_api_key"],
  ])("%s is a 401 that reaches no object", async (_what, header, code) => {
    const error = await refusal(header);
    expect(error).toMatchObject({ status: 401, code });
    expect(error.message).toContain("aerie keys add");
    expect(tenants.reached).toStrictEqual([]);
  });

  test("a forged key reaches no object; forged, unknown and revoked are told apart by nothing", async () => {
    const { key, id } = await heldKey();
    const digit = key.endsWith("0") ? "1" : "0";
    const forged = await refusal(`Bearer ${key.slice(0, -1)}${digit}`);
    expect(tenants.reached).toStrictEqual([]);

    const unknown = await refusal(`Bearer ${(await createKey(secrets, "default")).key}`);
    await tenants.tenant("default").revokeKey(id);
    const revoked = await refusal(`Bearer ${key}`);
    expect(errorBodyOf(unknown)).toStrictEqual(errorBodyOf(forged));
    expect(errorBodyOf(revoked)).toStrictEqual(errorBodyOf(forged));
    expect(errorBodyOf(forged)).toStrictEqual({
      error: {
        message: expect.stringContaining("not one of this server's, or it was revoked"),
        type: "invalid_request_error",
        param: null,
        code: "invalid_api_key",
      },
    });
  });

  test("a key of one tenant, renamed to another, is forged", async () => {
    const { key } = await heldKey("acme");
    expect(await refusal(`Bearer ${key.replace("acme", "other")}`)).toMatchObject({ code: "invalid_api_key" });
    expect(tenants.reached).toStrictEqual([]);
  });

  test("no refusal repeats what was sent", async () => {
    const { key } = await createKey(secrets, "default");
    for (const header of [`Bearer ${key}`, `Bearer ${key}x`, `Basic ${key}`, `Bearer ${key} ${key}`])
      expect(JSON.stringify(errorBodyOf(await refusal(header)))).not.toContain(key.slice(12));
  });

  test("the tenant's object is asked once in 30 seconds, and a revocation holds after them", async () => {
    const { key, id } = await heldKey();
    for (let i = 0; i < 5; i++) await authenticate(`Bearer ${key}`);
    expect(tenants.reached).toStrictEqual(["default"]);

    await tenants.tenant("default").revokeKey(id);
    tenants.clock.now += KEY_CACHE_SECONDS * 1000 - 1;
    await authenticate(`Bearer ${key}`); // the documented delay
    tenants.clock.now += 1;
    expect(await refusal(`Bearer ${key}`)).toMatchObject({ status: 401 });
    tenants.reached.length = 0;
    expect(await refusal(`Bearer ${key}`)).toMatchObject({ status: 401 }); // remembered as well
    expect(tenants.reached).toStrictEqual([]);
  });

  test("what the object said is as old as the question: a slow answer does not live longer", async () => {
    const { key, id } = await heldKey();
    const slow = createAuthenticator({
      secrets,
      now: () => tenants.clock.now,
      tenant: (name) => ({
        async holdsKey(...asked) {
          const answer = await tenants.tenant(name).holdsKey(...asked);
          tenants.clock.now += 20_000;
          return answer;
        },
      }),
    });
    await slow(`Bearer ${key}`);
    await tenants.tenant("default").revokeKey(id);
    tenants.clock.now += 10_000;
    await expect(slow(`Bearer ${key}`)).rejects.toMatchObject({ status: 401 });
  });

  test("a failing object is no answer: the error passes, and the next request asks again", async () => {
    const { key } = await heldKey();
    let failures = 1;
    const flaky = createAuthenticator({
      secrets,
      now: () => tenants.clock.now,
      tenant: (name) => {
        if (failures-- > 0) throw new Error("Network connection lost.");
        return tenants.tenant(name);
      },
    });
    await expect(flaky(`Bearer ${key}`)).rejects.toThrow("Network connection lost.");
    await expect(flaky(`Bearer ${key}`)).resolves.toMatchObject({ tenant: "default" });
  });

  test("the cache is bounded: the oldest answer goes, the newest stay", async () => {
    const keys = await Promise.all(Array.from({ length: 1_001 }, () => createKey(secrets, "default")));
    for (const { key } of keys) await refusal(`Bearer ${key}`);
    tenants.reached.length = 0;
    await refusal(`Bearer ${keys[1_000].key}`);
    await refusal(`Bearer ${keys[1].key}`);
    expect(tenants.reached).toHaveLength(0);
    await refusal(`Bearer ${keys[0].key}`);
    expect(tenants.reached).toHaveLength(1);
  });

  test("without a secret every request is a 503 that says what to set, even one without a header", async () => {
    const closed = createAuthenticator({
      secrets: createSecrets(undefined),
      tenant: tenants.tenant,
      now: () => tenants.clock.now,
    });
    const { key } = await heldKey();
    for (const header of [null, "Bearer x", `Bearer ${key}`])
      await expect(closed(header)).rejects.toMatchObject({
        status: 503,
        code: "not_configured",
        message: expect.stringContaining("wrangler secret put AERIE_SECRET"),
      });
    expect(tenants.reached).toStrictEqual([]);
  });
});
