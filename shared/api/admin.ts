/**
 * /admin/keys: who holds the deployment's secret makes, lists and revokes API keys. Mounted at `/admin`; its errors go to
 * the app it is mounted in.
 */

import { type Context, Hono } from "hono";
import { z } from "zod";
import { sameBytes, utf8 } from "../bytes.ts";
import type { KeyRecord, TenantPort } from "../conversation/tenant-types.ts";
import { ApiError } from "./api-error.ts";
import { invalidRequest } from "./invalid-request.ts";
import { createKey, DEFAULT_TENANT, isKeyId, isTenantName } from "./keys.ts";
import type { Secrets } from "./secrets.ts";

export interface AdminOptions {
  readonly secrets: Secrets;
  tenant(name: string): Pick<TenantPort, "addKey" | "listKeys" | "revokeKey">;
}

/** A key as the routes below tell of it. */
export interface AdminKey {
  readonly id: string;
  readonly name: string;
  readonly tenant: string;
  readonly created_at: number; //        seconds since 1970
  readonly revoked_at: number | null;
}

/** The one reply that has the key itself. */
export type CreatedAdminKey = AdminKey & { readonly key: string };

const BODY_CHARACTERS = 4_096;
const NAME_CHARACTERS = 64;

const newKey = z.strictObject({
  // Names are printed in terminals: no control characters, no overrides of the writing direction.
  name: z
    .string()
    .regex(/^[^\p{C}]+$/u, `expected 1 to ${NAME_CHARACTERS} printable characters`)
    .max(NAME_CHARACTERS, `expected 1 to ${NAME_CHARACTERS} printable characters`),
  tenant: z.string().optional(),
});

export function createAdmin({ secrets, tenant }: AdminOptions): Hono {
  const app = new Hono();

  app.use("*", async (context, next) => {
    const expected = `Bearer ${await secrets.adminToken()}`;
    const found = context.req
      .header("Authorization")
      ?.trim()
      .replace(/^bearer[ \t]+/i, "Bearer ");
    if (found === undefined) throw refused("missing_admin_token", "No Authorization header was sent.");
    if (!sameBytes(utf8(found), utf8(expected)))
      throw refused("invalid_admin_token", "The token was not derived from this server's AERIE_SECRET.");
    await next();
    context.header("Cache-Control", "no-store");
  });

  app.post("/keys", async (context) => {
    const { name, tenant: given } = await readBody(context);
    const owner = tenantName(given);
    const { key, id, sha256 } = await createKey(secrets, owner);
    const record = await tenant(owner).addKey({ id, name, sha256 });
    return context.json({ ...toReply(record, owner), key } satisfies CreatedAdminKey);
  });

  app.get("/keys", async (context) => {
    const owner = tenantName(context.req.query("tenant"));
    const records = await tenant(owner).listKeys();
    return context.json({ object: "list", data: records.map((record) => toReply(record, owner)) });
  });

  app.delete("/keys/:id", async (context) => {
    const owner = tenantName(context.req.query("tenant"));
    const id = context.req.param("id");
    const record = isKeyId(id) ? await tenant(owner).revokeKey(id) : null;
    if (!record)
      throw new ApiError(
        404,
        "key_not_found",
        `Tenant "${owner}" has no key with the id given. \`aerie keys list\` lists them.`,
        {
          param: "id",
        },
      );
    return context.json(toReply(record, owner));
  });

  return app;
}

function refused(code: string, sentence: string): ApiError {
  return new ApiError(
    401,
    code,
    `${sentence} Expected Authorization: Bearer admin-<64 hexadecimal digits>, as \`aerie keys\` derives it from AERIE_SECRET.`,
  );
}

function tenantName(given: string | undefined): string {
  const name = given ?? DEFAULT_TENANT;
  if (isTenantName(name)) return name;
  throw new ApiError(400, "invalid_tenant", "tenant: expected 1 to 32 lower-case letters and digits.", {
    param: "tenant",
  });
}

async function readBody(context: Context): Promise<z.infer<typeof newKey>> {
  const text = await context.req.text();
  if (text.length > BODY_CHARACTERS)
    throw new ApiError(
      413,
      "request_too_large",
      `Expected a body of at most ${BODY_CHARACTERS} characters, found ${text.length}.`,
    );
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new ApiError(400, "invalid_json", 'The body is not JSON: expected {"name": "…", "tenant": "…"}.');
  }
  const parsed = newKey.safeParse(body);
  if (parsed.success) return parsed.data;
  throw invalidRequest(parsed.error);
}

function toReply(record: KeyRecord, tenant: string): AdminKey {
  const { id, name, createdAt, revokedAt } = record;
  return { id, name, tenant, created_at: createdAt, revoked_at: revokedAt };
}
