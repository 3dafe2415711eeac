/** The tenant's store in a Durable Object: the same answers as on Node's SQLite, what they cost in rows, and the object around it. */

import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import { durableSql } from "../../durable-objects/durable-sql.ts";
import { prefixObjectName } from "../../durable-objects/tenant.ts";
import { createAdmin } from "../../shared/api/admin.ts";
import { createAuthenticator } from "../../shared/api/authenticate.ts";
import { createSecrets } from "../../shared/api/secrets.ts";
import { TenantStore } from "../../shared/conversation/tenant-store.ts";
import type { PrefixPort, TenantPort } from "../../shared/conversation/tenant-types.ts";
import { tenantStoreSuite } from "../conversation/tenant-store.suite.ts";

const newTenant = () => env.TENANTS.getByName(crypto.randomUUID());

tenantStoreSuite((body) => runInDurableObject(newTenant(), (_tenant, { storage }) => body(durableSql(storage))));

describe("rows written, which is what an object's storage costs", () => {
  const object = "0".repeat(64);
  const now = Math.floor(Date.now() / 1000);
  const note = {
    object,
    createdAt: now,
    updatedAt: now,
    expiresAt: now + 1000,
    usage: { turns: 1, inputTokens: 10, cachedTokens: 0, outputTokens: 5 },
    branches: [{ branch: 0, createdAt: now }],
  };

  test("one per fact, none for what is known already, none but tables to open", async () => {
    await runInDurableObject(newTenant(), async (_tenant, { storage }) => {
      let written = 0;
      const counted = async (work: () => unknown): Promise<number> => {
        written = 0;
        await work();
        return written;
      };
      const options = { now: () => Date.now(), wakeAt: () => {} };
      const sql = {
        ...durableSql(storage),
        exec(query: string, ...values: (string | number | null)[]) {
          const cursor = storage.sql.exec(query, ...values);
          const rows = cursor.toArray() as Record<string, string | number | null>[];
          written += cursor.rowsWritten;
          return rows;
        },
      } as ReturnType<typeof durableSql>;
      const store = new TenantStore(sql, options);
      expect(await counted(() => new TenantStore(sql, options))).toBe(0);

      expect(await counted(() => store.addKey({ id: "aa", name: "x", sha256: "y" }))).toBe(1);
      expect(await counted(() => store.revokeKey("aa"))).toBe(1);
      expect(await counted(() => store.holdsKey("aa", "y"))).toBe(0);
      expect(await counted(() => store.register(object))).toBe(1);
      expect(await counted(() => store.register(object))).toBe(0);
      expect(await counted(() => store.note(note))).toBe(2); // its row, and its place in the list
      expect(await counted(() => store.note(note))).toBe(0);
      const later = { ...note, updatedAt: now + 5, expiresAt: now + 2000 };
      expect(await counted(() => store.note(later))).toBe(1); // a turn
      expect(await counted(() => store.claim("key", "hash", { object, node: 1 }))).toBe(1);
      expect(await counted(() => store.claim("key", "hash", { object, node: 1 }))).toBe(0);
      expect(await counted(() => store.putPrefix("h", { object, node: 1 }, now + 1000))).toBe(1);
      expect(await counted(() => store.findPrefix("h"))).toBe(0);
      expect(await counted(() => store.forgetPrefixes(object))).toBe(1);
      expect(await counted(() => store.forget(object))).toBe(2);
      expect(await counted(() => store.sweep())).toBe(0);
    });
  });
});

describe("the object", () => {
  test("answers by RPC, and after an eviction as before it", async () => {
    const tenant = newTenant();
    const added = await tenant.addKey({ id: "aa", name: "laptop", sha256: "1".repeat(64) });
    expect(added).toMatchObject({ id: "aa", name: "laptop", revokedAt: null });
    const object = "ab".repeat(32);
    await tenant.register(object);
    await tenant.putPrefix("h", { object, node: 7 }, null);
    await evictDurableObject(tenant);
    expect(await tenant.holdsKey("aa", "1".repeat(64))).toBe(true);
    expect(await tenant.listKeys()).toStrictEqual([added]);
    expect(await tenant.objects(null, 10)).toStrictEqual([object]);
    expect(await tenant.findPrefix("h")).toStrictEqual({ object, node: 7 });
    expect(await tenant.usage()).toStrictEqual({ turns: 0, inputTokens: 0, cachedTokens: 0, outputTokens: 0 });
  });

  test("sets its alarm to an earlier time only, remembers it over an eviction, and sweeps when it rings", async () => {
    const tenant = newTenant();
    const alarm = () => runInDurableObject(tenant, (_tenant, { storage }) => storage.getAlarm());
    const now = Math.floor(Date.now() / 1000);
    const target = { object: "0".repeat(64), node: 1 };
    expect(await alarm()).toBeNull();
    await tenant.putPrefix("a", target, now + 500);
    expect(await alarm()).toBe((now + 500) * 1000);
    await tenant.putPrefix("b", target, now + 900);
    await evictDurableObject(tenant);
    await tenant.putPrefix("c", target, now + 800);
    expect(await alarm()).toBe((now + 500) * 1000);
    await tenant.putPrefix("d", target, now + 400);
    expect(await alarm()).toBe((now + 400) * 1000);

    await runInDurableObject(tenant, (_tenant, { storage }) => {
      storage.sql.exec("UPDATE prefixes SET expires_at = ? WHERE hash = 'a'", now - 1);
    });
    expect(await runDurableObjectAlarm(tenant)).toBe(true);
    expect(await tenant.findPrefix("b")).toStrictEqual(target);
    const left = await runInDurableObject(tenant, (_tenant, { storage }) =>
      storage.sql.exec("SELECT hash FROM prefixes ORDER BY hash").toArray(),
    );
    expect(left).toStrictEqual([{ hash: "b" }, { hash: "c" }, { hash: "d" }]);
    expect(await alarm()).toBeGreaterThanOrEqual((now + 3600) * 1000); // no sweep is due within the hour
  });

  test("stands behind /admin and the keys it makes, as a port", async () => {
    const options = {
      secrets: createSecrets("5".repeat(64)),
      tenant: (name: string): TenantPort => env.TENANTS.getByName(name),
      now: () => Date.now(),
    };
    const authenticate = createAuthenticator(options);
    const admin = createAdmin(options);
    const authorization = `Bearer ${await options.secrets.adminToken()}`;
    const ask = async (method: string, path: string, body?: string) => {
      const reply = await admin.request(path, { method, headers: { authorization }, ...(body && { body }) });
      return (await reply.json()) as { id: string; key: string };
    };
    const { key, id } = await ask("POST", "/keys", JSON.stringify({ name: "edge", tenant: "rpc" }));
    expect(await authenticate(`Bearer ${key}`)).toStrictEqual({ tenant: "rpc", keyId: id });
    await ask("DELETE", `/keys/${id}?tenant=rpc`);
    const refused = await createAuthenticator(options)(`Bearer ${key}`).catch((error: unknown) => error);
    expect(refused).toMatchObject({ status: 401, code: "invalid_api_key" });
  });

  test("keeps prefixes in sixteen objects of a tenant, none of which is another tenant's", async () => {
    const hash = `a${"0".repeat(63)}`;
    const part = (tenant: string): PrefixPort => env.TENANTS.getByName(prefixObjectName(tenant, hash));
    await part("one").putPrefix(hash, { object: "0".repeat(64), node: 1 }, null);
    expect(await part("one").findPrefix(hash)).toStrictEqual({ object: "0".repeat(64), node: 1 });
    expect(await part("two").findPrefix(hash)).toBeNull();
    expect(prefixObjectName("one", hash)).toBe("one/a");
  });
});
