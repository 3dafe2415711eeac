/**
 * Ids: where a thing lies, and a proof that this deployment said so to this tenant.
 *
 *   conv_ resp_   object 32 bytes ‖ number u32 ‖ MAC 12 bytes                 64 letters of base64url
 *   msg_          object 32 bytes ‖ number u32 ‖ index i16 ‖ MAC 12 bytes     67 letters, the last with two spare bits, 0
 *
 * Integers are big-endian. The MAC is over (kind, tenant, what precedes it).
 */

import { fromBase64Url, fromHex, joinBytes, toBase64Url, toHex } from "../bytes.ts";
import { AerieError } from "../errors.ts";
import type { Secrets } from "./secrets.ts";
import type { Ids, IdTarget } from "./services.ts";

const OBJECT_BYTES = 32; // the ids of Durable Objects
const NUMBER_BYTES = 4;
const INDEX_BYTES = 2;
/** 96 bits: one try in 2⁹⁶, each of them an HTTP request, and ids that still fit a line. */
const MAC_BYTES = 12;

const prefixes = { conversation: "conv_", response: "resp_", item: "msg_" } as const satisfies Record<
  IdTarget["kind"],
  string
>;

export function createIds(secrets: Pick<Secrets, "mac" | "verify">): Ids {
  return {
    async encode(tenant, target) {
      const payload = toPayload(target);
      const mac = (await secrets.mac("id", target.kind, tenant, payload)).subarray(0, MAC_BYTES);
      return prefixes[target.kind] + toBase64Url(joinBytes([payload, mac]));
    },

    async decode(tenant, kind, id) {
      const prefix = prefixes[kind];
      const size = payloadBytes(kind) + MAC_BYTES;
      if (id.length !== prefix.length + Math.ceil((size * 8) / 6) || !id.startsWith(prefix)) return null;
      const bytes = fromBase64Url(id.slice(prefix.length));
      if (bytes?.length !== size) return null;
      const payload = bytes.subarray(0, -MAC_BYTES);
      const isOurs = await secrets.verify("id", bytes.subarray(-MAC_BYTES), kind, tenant, payload);
      return isOurs ? fromPayload(kind, payload) : null;
    },
  };
}

function payloadBytes(kind: IdTarget["kind"]): number {
  return OBJECT_BYTES + NUMBER_BYTES + (kind === "item" ? INDEX_BYTES : 0);
}

function toPayload(target: IdTarget): Uint8Array<ArrayBuffer> {
  const object = fromHex(target.object);
  if (object?.length !== OBJECT_BYTES)
    throw new AerieError("id", `an object's id: expected 64 lower-case hexadecimal digits, found "${target.object}"`);
  checkRange("number", target.number, 0, 2 ** 32 - 1);
  const payload = new Uint8Array(payloadBytes(target.kind));
  payload.set(object);
  const view = new DataView(payload.buffer);
  view.setUint32(OBJECT_BYTES, target.number);
  if (target.kind === "item") {
    checkRange("index", target.index, -1, 2 ** 15 - 1);
    view.setInt16(OBJECT_BYTES + NUMBER_BYTES, target.index);
  }
  return payload;
}

function fromPayload(kind: IdTarget["kind"], payload: Uint8Array): IdTarget {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const object = toHex(payload.subarray(0, OBJECT_BYTES));
  const number = view.getUint32(OBJECT_BYTES);
  return kind === "item"
    ? { kind, object, number, index: view.getInt16(OBJECT_BYTES + NUMBER_BYTES) }
    : { kind, object, number };
}

/** A number that does not fit would name something else. */
function checkRange(what: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most)
    throw new AerieError("id", `${what} of an id: expected a whole number from ${least} to ${most}, found ${value}`);
}
