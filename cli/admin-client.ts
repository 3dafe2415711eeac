/** A server's /admin/keys, called from outside: with a token derived from AERIE_SECRET, which itself stays here. */

import type { AdminKey, CreatedAdminKey } from "../shared/api/admin.ts";
import { createSecrets } from "../shared/api/secrets.ts";
import { AerieError, OptionError } from "../shared/errors.ts";

const TIMEOUT_MS = 15_000;

export type { AdminKey, CreatedAdminKey };

export function addKey(url: string, secret: string, key: { name: string; tenant: string }): Promise<CreatedAdminKey> {
  return call(url, secret, "POST", "/admin/keys", key);
}

export async function listKeys(url: string, secret: string, tenant: string): Promise<AdminKey[]> {
  const list = await call<{ data: AdminKey[] }>(url, secret, "GET", `/admin/keys?tenant=${encodeURIComponent(tenant)}`);
  return list.data;
}

export function revokeKey(url: string, secret: string, id: string, tenant: string): Promise<AdminKey> {
  return call(url, secret, "DELETE", `/admin/keys/${encodeURIComponent(id)}?tenant=${encodeURIComponent(tenant)}`);
}

/** Whether a server is on this machine: nothing that is sent there crosses a network. */
export function isLocal(url: URL): boolean {
  return /^(localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
}

export function parseServerUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (!url || !["http:", "https:"].includes(url.protocol))
    throw new OptionError("url", `--url: expected an address such as http://127.0.0.1:8787, found "${text}"`);
  if (url.protocol === "http:" && !isLocal(url))
    throw new OptionError(
      "url",
      `--url: expected https:// for a server on another machine, found "${text}": the token and the new key would travel in the clear`,
    );
  return url;
}

async function call<Reply>(url: string, secret: string, method: string, path: string, body?: unknown): Promise<Reply> {
  const { origin } = parseServerUrl(url);
  const token = await createSecrets(secret).adminToken();
  let response: Response;
  try {
    response = await fetch(origin + path, {
      method,
      headers: { Authorization: `Bearer ${token}`, ...(body !== undefined && { "Content-Type": "application/json" }) },
      body: body === undefined ? null : JSON.stringify(body),
      redirect: "manual", // the token is for this server, not for wherever it points
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (cause) {
    throw new AerieError("keys.unreachable", unreachable(origin, cause), { cause });
  }
  const reply = parseJson(await response.text());
  if (response.ok && reply !== undefined) return reply as Reply;
  const { error } = (reply ?? {}) as { error?: { message?: unknown } };
  if (typeof error?.message === "string")
    throw new AerieError("keys.refused", `${origin} refused (${response.status}): ${printable(error.message)}`);
  throw new AerieError(
    "keys.reply",
    `${origin}${path}: expected Aerie's reply in JSON, found status ${response.status} without one. Is --url the address of an Aerie server?`,
  );
}

function unreachable(origin: string, cause: unknown): string {
  if (cause instanceof Error && cause.name === "TimeoutError")
    return `${origin} did not answer within ${TIMEOUT_MS / 1000} seconds.`;
  const reason = cause instanceof Error && cause.cause instanceof Error ? ` (${codeOf(cause.cause)})` : "";
  return `${origin} can't be reached${reason}. Start the local server with \`npm run dev\`, or give the address of yours with --url.`;
}

function codeOf(error: Error): string {
  return "code" in error ? String(error.code) : error.message;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What a server says is text in a terminal, not instructions to it. */
export function printable(text: string): string {
  return text.replace(/\p{C}/gu, "�");
}
