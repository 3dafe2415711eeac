/** The deployment's one secret, and the keys derived from it: one per purpose, so that none can stand in for another. */

import { fromHex, joinBytes, sameBytes, toHex, utf8 } from "../bytes.ts";
import { ApiError } from "./api-error.ts";

/** What a MAC is made for. Its key is HMAC-SHA-256(AERIE_SECRET, "aerie/v1/" + purpose). */
export type MacPurpose = "id" | "api-key" | "prefix" | "idempotency" | "state-file";

/** Every platform has the type, not all under one name. */
type HmacKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

const DERIVATION = "aerie/v1/";
const SECRET_BYTES = 32;
/** The shortest MAC that `verify` takes: what is cut shorter, or off, is no proof. 2⁶⁴ guesses, each an HTTP request. */
const SHORTEST_MAC_BYTES = 8;

export interface Secrets {
  /** Throws the `ApiError` with status 503 that says what to set, where the secret is missing or malformed. */
  check(): void;
  /** 32 bytes. The parts are framed by their lengths: ("ab", "c") and ("a", "bc") have different MACs. */
  mac(purpose: MacPurpose, ...parts: (string | Uint8Array)[]): Promise<Uint8Array<ArrayBuffer>>;
  /** Whether `mac` is the MAC of these parts or its first 8 or more bytes; in constant time. */
  verify(purpose: MacPurpose, mac: Uint8Array, ...parts: (string | Uint8Array)[]): Promise<boolean>;
  /** `admin-<64 hex digits>`: authorises /admin, is derived like a key and does not lead back to the secret. */
  adminToken(): Promise<string>;
}

/** Nothing fails before it is needed: a server without a secret answers each request with what is to be done. */
export function createSecrets(secret: string | undefined): Secrets {
  // Keys, not promises of keys: a promise of one request must not be awaited by another.
  const keys = new Map<MacPurpose, HmacKey>();
  let admin: string | undefined;

  async function derive(purpose: string): Promise<Uint8Array<ArrayBuffer>> {
    const master = await importKey(parseSecret(secret));
    return new Uint8Array(await crypto.subtle.sign("HMAC", master, utf8(DERIVATION + purpose)));
  }

  async function keyFor(purpose: MacPurpose): Promise<HmacKey> {
    const cached = keys.get(purpose);
    if (cached) return cached;
    const key = await importKey(await derive(purpose));
    keys.set(purpose, key);
    return key;
  }

  async function mac(purpose: MacPurpose, ...parts: (string | Uint8Array)[]): Promise<Uint8Array<ArrayBuffer>> {
    return new Uint8Array(await crypto.subtle.sign("HMAC", await keyFor(purpose), frame(parts)));
  }

  return {
    check() {
      parseSecret(secret);
    },
    mac,
    // `crypto.subtle.verify` takes whole MACs only, and those of ids and keys are cut short.
    async verify(purpose, found, ...parts) {
      const expected = await mac(purpose, ...parts);
      return found.length >= SHORTEST_MAC_BYTES && sameBytes(found, expected.subarray(0, found.length));
    },
    async adminToken() {
      admin ??= `admin-${toHex(await derive("admin"))}`;
      return admin;
    },
  };
}

function parseSecret(secret: string | undefined): Uint8Array<ArrayBuffer> {
  const text = secret?.trim() ?? ""; // a secret that was piped in may end in a newline
  const howTo =
    "Set one with `openssl rand -hex 32 | npx wrangler secret put AERIE_SECRET` (locally: a line AERIE_SECRET=… in .dev.vars), then make a key with `aerie keys add`.";
  if (text === "")
    throw new ApiError(503, "not_configured", `This server has no AERIE_SECRET, so it has no keys. ${howTo}`);
  const bytes = fromHex(text.toLowerCase());
  if (bytes?.length === SECRET_BYTES) return bytes;
  // Its length may be told, its letters may not.
  throw new ApiError(
    503,
    "not_configured",
    `This server's AERIE_SECRET is malformed: expected ${2 * SECRET_BYTES} hexadecimal digits, found ${bytes ? `${text.length} of them` : `${text.length} characters that are not all hexadecimal digits`}. ${howTo}`,
  );
}

function importKey(bytes: Uint8Array<ArrayBuffer>): Promise<HmacKey> {
  return crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
}

/** Each part behind its length as u32: no two lists of parts give the same bytes. */
function frame(parts: readonly (string | Uint8Array)[]): Uint8Array<ArrayBuffer> {
  return joinBytes(
    parts.flatMap((part) => {
      const bytes = typeof part === "string" ? utf8(part) : part;
      const length = new Uint8Array(4);
      new DataView(length.buffer).setUint32(0, bytes.length);
      return [length, bytes];
    }),
  );
}
