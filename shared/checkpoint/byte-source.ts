/** Where the bytes of a model come from: files in Node, an R2 bucket or assets at the edge, a Blob in a browser. */

import { CheckpointError } from "../errors.ts";

/** Something of known length that can be read in parts, so that a checkpoint never lies in memory as a whole. */
export interface ByteSource {
  /** For error messages: a file's name. */
  readonly name: string;
  readonly size: number; // bytes
  /** Exactly `length` bytes from `offset` on. Callers ask within `size` only. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** A model's folder. */
export interface Folder {
  /** null where there is no such file. */
  open(name: string): Promise<ByteSource | null>;
}

/** `read`, with the promise about length checked: a file may shrink, a range request may come back short or fail. */
export async function readExactly(source: ByteSource, offset: number, length: number): Promise<Uint8Array> {
  const bytes = await tryRead(source, offset, length);
  if (bytes.length !== length)
    throw new CheckpointError(
      "unreadable",
      `${source.name}: expected ${length} bytes at offset ${offset}, found ${bytes.length}: the file changed or the transfer broke off`,
    );
  return bytes;
}

async function tryRead(source: ByteSource, offset: number, length: number): Promise<Uint8Array> {
  try {
    return await source.read(offset, length);
  } catch (cause) {
    throw unreadable(`${source.name}: reading ${length} bytes at offset ${offset} failed`, cause);
  }
}

/** What a disk, a bucket or a network throws does not name the file. A source's own `CheckpointError` does. */
export function unreadable(what: string, cause: unknown): CheckpointError {
  if (cause instanceof CheckpointError) return cause;
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new CheckpointError("unreadable", `${what}: ${reason}`, { cause });
}

/** A whole file as UTF-8 text, up to `limitBytes`. */
export async function readText(source: ByteSource, limitBytes: number): Promise<string> {
  if (source.size > limitBytes)
    throw new CheckpointError(
      "unreadable",
      `${source.name} has ${source.size} bytes, at most ${limitBytes} are accepted for this file`,
    );
  const bytes = await readExactly(source, 0, source.size);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch (cause) {
    throw new CheckpointError("json", `${source.name} is not valid UTF-8 text`, { cause });
  }
}

/** Bytes already in memory. */
export function bytesSource(name: string, bytes: Uint8Array): ByteSource {
  return { name, size: bytes.length, read: async (offset, length) => bytes.slice(offset, offset + length) };
}
