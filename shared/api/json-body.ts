/** Reads a request's JSON body before anything else does: bounded, valid UTF-8, not too deep or wide, no prototype keys. */

import type { MiddlewareHandler } from "hono";
import { MAX_JSON_BYTES, MAX_JSON_DEPTH, MAX_JSON_ELEMENTS, MAX_JSON_MEMBERS } from "../protocol/limits.ts";
import { ApiError } from "./api-error.ts";
import type { Env } from "./context.ts";

/** Schemas then get the checked value: to parse a body twice would take twice the memory. */
export const jsonBodies: MiddlewareHandler<Env> = async (context, next) => {
  const request = context.req.raw;
  if (request.body !== null && isJson(context.req.header("content-type"))) {
    const text = decode(await readBounded(request as unknown as Request, MAX_JSON_BYTES));
    if (text === "") throw new ApiError(400, "invalid_json", "The request body is empty; expected a JSON object.");
    const value = checkedJson(text);
    context.req.json = async () => value as never;
  }
  await next();
};

function isJson(contentType: string | undefined): boolean {
  return /^application\/([\w.-]+\+)?json\s*(;|$)/i.test(contentType ?? "");
}

/**
 * Of a body that is too large, this much is read and thrown away before the 413: a client that is still sending when the
 * connection closes sees a broken pipe and never the reason.
 */
export const DISCARD_BYTES = 16 * 1024 * 1024;

/** The whole body, or a 413 where it is too large, whatever its Content-Length says. Never more than the bound in memory. */
export async function readBounded(request: Request, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  if (request.body === null) return new Uint8Array();
  const reader = request.body.getReader();
  if (isAnnouncedLarger(request, maxBytes)) {
    await discard(reader);
    throw tooLarge(maxBytes);
  }
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    bytes += value.byteLength;
    if (bytes > maxBytes) {
      await discard(reader);
      throw tooLarge(maxBytes);
    }
    chunks.push(value);
  }
  const whole = new Uint8Array(bytes);
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return whole;
}

/** The body as it comes, failing once it has exceeded the bound. A byte stream: only those cross an RPC boundary. */
export function boundedStream(request: Request, maxBytes: number): ReadableStream<Uint8Array> {
  if (isAnnouncedLarger(request, maxBytes)) throw tooLarge(maxBytes);
  if (request.body === null) throw new ApiError(400, "invalid_state_file", "The request has no body.");
  const reader = request.body.getReader();
  let bytes = 0;
  return new ReadableStream({
    type: "bytes",
    async pull(controller) {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return controller.close();
        bytes += value.byteLength;
        if (bytes > maxBytes) {
          await reader.cancel().catch(() => {});
          throw tooLarge(maxBytes);
        }
        if (value.byteLength > 0) return controller.enqueue(value);
      }
    },
    cancel: (reason) => reader.cancel(reason),
  });
}

function isAnnouncedLarger(request: Request, maxBytes: number): boolean {
  const length = request.headers.get("content-length");
  return length !== null && Number(length) > maxBytes;
}

async function discard(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  try {
    for (let bytes = 0; bytes < DISCARD_BYTES; ) {
      const { done, value } = await reader.read();
      if (done) return;
      bytes += value.byteLength;
    }
    await reader.cancel();
  } catch {
    // the client left: there is nobody to tell
  }
}

function tooLarge(maxBytes: number): ApiError {
  return new ApiError(413, "request_too_large", `The request body exceeds ${maxBytes} bytes.`);
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    throw new ApiError(400, "invalid_utf8", "The request body is not valid UTF-8.");
  }
}

function checkedJson(text: string): object {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (inString) {
      if (char === 0x5c) at++;
      else if (char === 0x22) inString = false;
    } else if (char === 0x22) inString = true;
    else if (char === 0x7b || char === 0x5b) {
      if (++depth > MAX_JSON_DEPTH) {
        throw new ApiError(400, "invalid_json", `The request body nests deeper than ${MAX_JSON_DEPTH} levels.`);
      }
    } else if (char === 0x7d || char === 0x5d) depth--;
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ApiError(400, "invalid_json", "The request body is not valid JSON.");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ApiError(400, "invalid_json", "The request body must be a JSON object.");
  }
  checkMembers(value);
  return value;
}

/**
 * No more members than a parameter may have, and none that a schema does not see. Not by a reviver: a list of half a million
 * numbers, which a body has room for, keeps one busy for a quarter of a second.
 */
function checkMembers(value: object): void {
  const isList = Array.isArray(value);
  const members: unknown[] = isList ? value : Object.values(value);
  const most = isList ? MAX_JSON_ELEMENTS : MAX_JSON_MEMBERS;
  if (members.length > most) {
    const what = isList ? "a list of more than" : "an object with more members than";
    throw new ApiError(400, "invalid_json", `The request body has ${what} ${most}: no parameter takes so many.`);
  }
  // A schema's record skips this key without a word.
  if (Object.hasOwn(value, "__proto__"))
    throw new ApiError(400, "invalid_key", "'__proto__' is not a parameter.", { param: "__proto__" });
  for (const member of members) if (typeof member === "object" && member !== null) checkMembers(member);
}
