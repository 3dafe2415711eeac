/** Who is behind an `Authorization` header. Nobody, unless everything says so. */

import type { TenantPort } from "../conversation/tenant-types.ts";
import { ApiError } from "./api-error.ts";
import { readKey } from "./keys.ts";
import type { Secrets } from "./secrets.ts";
import type { Identity } from "./services.ts";

/** For how long an isolate believes what a tenant's object said about a key: a revoked one works for no longer than this. */
export const KEY_CACHE_SECONDS = 30;

/** A few hundred bytes each. Only keys with a right MAC get in, so strangers can't push the others out. */
const KEY_CACHE_ENTRIES = 1_000;

export interface AuthenticatorOptions {
  readonly secrets: Secrets;
  tenant(name: string): Pick<TenantPort, "holdsKey">;
  /** Milliseconds since 1970. */
  now(): number;
}

interface CachedAnswer {
  readonly isHeld: boolean;
  readonly until: number; // milliseconds since 1970
}

/** One per isolate: it carries the cache. */
export function createAuthenticator(
  options: AuthenticatorOptions,
): (authorization: string | null) => Promise<Identity> {
  const { secrets, now } = options;
  const answers = new Map<string, CachedAnswer>(); // by SHA-256 of the key, oldest answer first

  return async function authenticate(authorization) {
    secrets.check();
    const read = await readKey(secrets, bearerToken(authorization));
    if (read === "malformed")
      throw invalidKey("The API key is malformed: expected sk-<tenant>-<64 hexadecimal digits>.");
    if (read === "forged") throw invalidKey(UNKNOWN_KEY);
    const { tenant, id, sha256 } = read;

    const askedAt = now(); // an answer is as old as its question
    let answer = answers.get(sha256);
    if (!answer || answer.until <= askedAt) {
      const isHeld = await options.tenant(tenant).holdsKey(id, sha256);
      answer = { isHeld, until: askedAt + KEY_CACHE_SECONDS * 1000 };
      answers.delete(sha256);
      answers.set(sha256, answer);
      const [oldest] = answers.keys();
      if (answers.size > KEY_CACHE_ENTRIES) answers.delete(oldest);
    }
    if (!answer.isHeld) throw invalidKey(UNKNOWN_KEY);
    return { tenant, keyId: id };
  };
}

/** The same for a forged, an unknown and a revoked key: which one it was is nobody's business. */
const UNKNOWN_KEY = "The API key is not one of this server's, or it was revoked.";

const HOW_TO = "Who holds this server's AERIE_SECRET makes one with `aerie keys add`.";

function invalidKey(sentence: string): ApiError {
  return new ApiError(401, "invalid_api_key", `${sentence} ${HOW_TO}`);
}

function bearerToken(authorization: string | null): string {
  if (authorization === null || authorization.trim() === "")
    throw new ApiError(
      401,
      "missing_api_key",
      `No API key was sent: expected the header Authorization: Bearer sk-…. ${HOW_TO}`,
    );
  const [, token] = /^Bearer[ \t]+(\S+)$/i.exec(authorization.trim()) ?? [];
  if (token === undefined)
    throw new ApiError(
      401,
      "missing_api_key",
      `The Authorization header is not in the form Bearer sk-… (one scheme, one key). ${HOW_TO}`,
    );
  return token;
}
