/** sha256 in pieces for browsers, whose WebCrypto hashes only what lies in memory as a whole. */

import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { Hasher } from "../../shared/checkpoint/hasher.ts";

export function sha256Hasher(): Hasher {
  const hash = sha256.create();
  return { update: (bytes) => hash.update(bytes), hex: () => bytesToHex(hash.digest()) };
}
