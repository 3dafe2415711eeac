/** sha256 of bytes that come in pieces. Synchronous, so that a piece is taken as a whole or not at all; each runtime has its own. */

export interface Hasher {
  update(bytes: Uint8Array): unknown;
  /** 64 lower-case hexadecimal digits. Ends the hasher. */
  hex(): string;
}

export type CreateHasher = () => Hasher;

export function sha256(hasher: Hasher, bytes: Uint8Array | string): string {
  hasher.update(typeof bytes === "string" ? new TextEncoder().encode(bytes) : bytes);
  return hasher.hex();
}
