/**
 * API keys: `sk-<tenant>-<64 hex digits>`, the digits being
 *
 *   key id 8 bytes ‖ secret 16 bytes ‖ MAC 8 bytes over (tenant, key id, secret)
 *
 * The MAC keeps forged keys away from every object; whether a key still counts, the tenant's object says.
 */

import { fromHex, joinBytes, toHex, utf8 } from "../bytes.ts";
import { AerieError } from "../errors.ts";
import type { Secrets } from "./secrets.ts";

export const DEFAULT_TENANT = "default";

const ID_BYTES = 8;
const SECRET_BYTES = 16; // so random that its plain SHA-256 can be stored: there is nothing to guess slowly
const MAC_BYTES = 8;

const keyShape = /^sk-([a-z0-9]{1,32})-([0-9a-f]{64})$/;

export interface NewKey {
  /** To be shown once: nothing stores it. */
  readonly key: string;
  readonly id: string;
  readonly sha256: string;
}

export interface ReadKey {
  readonly tenant: string;
  readonly id: string;
  readonly sha256: string;
}

/** Tenants are named by 1 to 32 lower-case letters and digits. */
export function isTenantName(text: string): boolean {
  return /^[a-z0-9]{1,32}$/.test(text);
}

export function isKeyId(text: string): boolean {
  return /^[0-9a-f]{16}$/.test(text);
}

export async function createKey(secrets: Pick<Secrets, "mac">, tenant: string): Promise<NewKey> {
  if (!isTenantName(tenant))
    throw new AerieError("key", `a tenant's name: expected 1 to 32 of a–z and 0–9, found "${tenant}"`);
  const random = crypto.getRandomValues(new Uint8Array(ID_BYTES + SECRET_BYTES));
  const id = random.subarray(0, ID_BYTES);
  const secret = random.subarray(ID_BYTES);
  const mac = (await secrets.mac("api-key", tenant, id, secret)).subarray(0, MAC_BYTES);
  const key = `sk-${tenant}-${toHex(joinBytes([id, secret, mac]))}`;
  return { key, id: toHex(id), sha256: await sha256(key) };
}

/** What a key says about itself, once its MAC is right. "malformed": not shaped like a key; "forged": another's MAC. */
export async function readKey(
  secrets: Pick<Secrets, "verify">,
  key: string,
): Promise<ReadKey | "malformed" | "forged"> {
  const [, tenant, digits] = keyShape.exec(key) ?? [];
  const bytes = digits === undefined ? null : fromHex(digits);
  if (tenant === undefined || !bytes) return "malformed";
  const id = bytes.subarray(0, ID_BYTES);
  const secret = bytes.subarray(ID_BYTES, ID_BYTES + SECRET_BYTES);
  const mac = bytes.subarray(-MAC_BYTES);
  if (!(await secrets.verify("api-key", mac, tenant, id, secret))) return "forged";
  return { tenant, id: toHex(id), sha256: await sha256(key) };
}

async function sha256(text: string): Promise<string> {
  return toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", utf8(text))));
}
