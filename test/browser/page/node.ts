/** What the suites ask of Node, in a page: files come from the test's own server. For what they use and no more. */

import { sha256Hasher } from "../../../client/web/sha256.ts";

/** A file as bytes, or as text. Synchronous, as its callers are: a page may wait for a request, if it must. */
export function readFileSync(url: string | URL, encoding?: "utf8"): Uint8Array | string {
  const request = new XMLHttpRequest();
  request.open("GET", url, false);
  request.overrideMimeType("text/plain; charset=x-user-defined"); // a letter for each byte
  request.send();
  if (request.status !== 200) throw new Error(`${url}: the server answered ${request.status}`);
  const bytes = Uint8Array.from(request.responseText, (letter) => letter.charCodeAt(0) & 0xff);
  return encoding ? new TextDecoder().decode(bytes) : bytes;
}

/** `node:fs/promises` */
export async function open(url: string) {
  const response = await fetch(url);
  // What is not there is answered with a page.
  if (!response.ok || response.headers.get("content-type")?.startsWith("text/html"))
    throw Object.assign(new Error(`${url} is not there`), { code: "ENOENT" });
  const file = new Uint8Array(await response.arrayBuffer());
  return {
    stat: async () => ({ size: file.length }),
    async read(into: Uint8Array, at: number, length: number, position: number) {
      const part = file.subarray(position, position + length);
      into.set(part, at);
      return { bytesRead: part.length };
    },
    close: async () => undefined,
  };
}

/** Paths are addresses here. */
export const fileURLToPath = (url: URL | string): string => String(url);
export const join = (...parts: string[]): string => parts.join("/");

export function createHash(_algorithm: "sha256") {
  const hasher = sha256Hasher();
  const hash = {
    update(bytes: Uint8Array) {
      hasher.update(bytes);
      return hash;
    },
    digest: (_encoding: "hex") => hasher.hex(),
  };
  return hash;
}
