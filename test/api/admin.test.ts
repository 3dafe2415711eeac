/** /admin/keys: open to the token that the secret derives, shut to everything else. */

import { Hono } from "hono";
import { beforeEach, describe, expect, test } from "vitest";
import { createAdmin } from "../../shared/api/admin.ts";
import { errorResponse, toApiError } from "../../shared/api/api-error.ts";
import { createAuthenticator } from "../../shared/api/authenticate.ts";
import { createSecrets } from "../../shared/api/secrets.ts";
import { type NodeTenants, nodeTenants, testSecret } from "./node-tenants.ts";

const secrets = createSecrets(testSecret);
const token = await secrets.adminToken();
let tenants: NodeTenants;
let app: Hono;

beforeEach(() => {
  tenants = nodeTenants();
  app = mounted(createAdmin({ secrets, tenant: tenants.tenant }));
});

function mounted(admin: Hono): Hono {
  const outer = new Hono().route("/admin", admin);
  outer.onError((error) => errorResponse(toApiError(error)));
  return outer;
}

interface Reply {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: replies are compared, not used
  readonly body: any;
}

async function ask(method: string, path: string, body?: unknown, authorization = `Bearer ${token}`): Promise<Reply> {
  const response = await app.request(path, {
    method,
    headers: { Authorization: authorization },
    ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
  return { status: response.status, headers: response.headers, body: await response.json() };
}

describe("/admin/keys", () => {
  test("a key is made, works, is listed without itself, is revoked and works no more", async () => {
    const made = await ask("POST", "/admin/keys", { name: "laptop", tenant: "acme" });
    expect(made.status).toBe(200);
    expect(made.headers.get("Cache-Control")).toBe("no-store");
    const { key, ...listed } = made.body;
    expect(listed).toStrictEqual({
      id: key.slice(8, 24),
      name: "laptop",
      tenant: "acme",
      created_at: 1_800_000_000,
      revoked_at: null,
    });

    const authenticate = createAuthenticator({ secrets, tenant: tenants.tenant, now: () => tenants.clock.now });
    expect(await authenticate(`Bearer ${key}`)).toStrictEqual({ tenant: "acme", keyId: listed.id });

    expect((await ask("GET", "/admin/keys?tenant=acme")).body).toStrictEqual({ object: "list", data: [listed] });
    expect((await ask("GET", "/admin/keys")).body).toStrictEqual({ object: "list", data: [] }); // another tenant's

    tenants.clock.now += 60_000;
    const path = `/admin/keys/${listed.id}?tenant=acme`;
    expect((await ask("DELETE", path)).body).toStrictEqual({ ...listed, revoked_at: 1_800_000_060 });
    tenants.clock.now += 60_000;
    expect((await ask("DELETE", path)).body.revoked_at).toBe(1_800_000_060); // twice is as good as once
    await expect(authenticate(`Bearer ${key}`)).rejects.toMatchObject({ status: 401 });
  });

  test("a key is revoked in its own tenant only", async () => {
    const { body } = await ask("POST", "/admin/keys", { name: "a", tenant: "acme" });
    expect(await ask("DELETE", `/admin/keys/${body.id}`)).toMatchObject({
      status: 404,
      body: { error: { code: "key_not_found", param: "id" } },
    });
    expect((await ask("GET", "/admin/keys?tenant=acme")).body.data).toMatchObject([{ revoked_at: null }]);
  });

  const routes = createAdmin({ secrets, tenant: () => nodeTenants().tenant("x") }).routes.filter(
    ({ method }) => method !== "ALL",
  );

  test.each(routes)("$method $path opens to the admin's token alone", async ({ method, path }) => {
    const { body } = await ask("POST", "/admin/keys", { name: "x" });
    tenants.reached.length = 0;
    const place = `/admin${path.replace(":id", body.id)}`;
    const last = token.endsWith("0") ? "1" : "0";
    for (const authorization of [
      "",
      "Bearer",
      token,
      `Basic ${token}`,
      `Bearer ${testSecret}`,
      `Bearer ${body.key}`,
      `Bearer ${token.slice(0, -1)}${last}`,
      `Bearer ${token}0`,
      `Bearer ${token.toUpperCase()}`,
      `Bearer admin-${"0".repeat(64)}`,
      "Bearer é",
    ])
      expect(
        await ask(method, place, method === "POST" ? { name: "x" } : undefined, authorization),
        authorization,
      ).toMatchObject({ status: 401, body: { error: { type: "invalid_request_error", param: null } } });
    expect((await app.request(place, { method })).status).toBe(401); // without the header
    expect(tenants.reached).toStrictEqual([]);
  });

  test("there are three routes, and behind an unknown one there is nothing without a token either", async () => {
    expect(routes.map(({ method, path }) => `${method} ${path}`)).toStrictEqual([
      "POST /keys",
      "GET /keys",
      "DELETE /keys/:id",
    ]);
    expect((await app.request("/admin/other")).status).toBe(401);
    expect((await app.request("/admin")).status).toBe(401);
    expect((await app.request("/v1/models")).status).toBe(404); // not this app's to guard
  });

  test.each([
    ["not JSON", "{", 400, "invalid_json", null],
    ["no name", {}, 400, "missing_required_parameter", "name"],
    ["an empty name", { name: "" }, 400, "invalid_value", "name"],
    ["a long name", { name: "x".repeat(65) }, 400, "invalid_value", "name"],
    ["a name that paints the terminal", { name: "\u001b[31mred" }, 400, "invalid_value", "name"],
    ["a name of another type", { name: 7 }, 400, "invalid_type", "name"],
    ["something unknown", { name: "x", admin: true }, 400, "unknown_parameter", "admin"],
    ["no object", [], 400, "invalid_type", null],
    ["a tenant in capitals", { name: "x", tenant: "Acme" }, 400, "invalid_tenant", "tenant"],
    ["a part of a tenant's index", { name: "x", tenant: "default/0" }, 400, "invalid_tenant", "tenant"],
    ["an endless body", { name: "x".repeat(5_000) }, 413, "request_too_large", null],
  ])("POST refuses %s", async (_what, body, status, code, param) => {
    const reply = await ask("POST", "/admin/keys", body);
    expect(reply).toMatchObject({ status, body: { error: { code, param } } });
    expect(tenants.reached).toStrictEqual([]);
  });

  test("ids and tenants in addresses are checked before an object is reached", async () => {
    for (const [method, path, status] of [
      ["GET", "/admin/keys?tenant=a%2F0", 400],
      ["GET", "/admin/keys?tenant=", 400],
      ["DELETE", `/admin/keys/${"0".repeat(16)}?tenant=A`, 400],
      ["DELETE", "/admin/keys/nonsense", 404],
    ] as const)
      expect(await ask(method, path), path).toMatchObject({ status });
    expect(tenants.reached).toStrictEqual([]);
  });

  test("without a secret it is a 503 that says what to set", async () => {
    app = mounted(createAdmin({ secrets: createSecrets(undefined), tenant: tenants.tenant }));
    expect(await ask("GET", "/admin/keys")).toMatchObject({ status: 503, body: { error: { code: "not_configured" } } });
  });
});
