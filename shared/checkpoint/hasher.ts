/** sha256 of bytes that come in pieces; each runtime has its own. */

export interface Hasher {
  update(bytes: Uint8Array): unknown;
  /** 64 lower-case hexadecimal digits. */
  hex(): Promise<string> | string;
}

export type CreateHasher = () => Hasher;

export async function sha256(hasher: Hasher, text: string): Promise<string> {
  await hasher.update(new TextEncoder().encode(text));
  return hasher.hex();
}
