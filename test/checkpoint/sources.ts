/** Files in memory for tests: they tell what was read of them, and they may claim to be longer than they are. */

import type { ByteSource, Folder } from "../../shared/checkpoint/byte-source.ts";

export interface Read {
  readonly offset: number;
  readonly length: number;
}

export interface RecordingSource extends ByteSource {
  readonly reads: Read[];
}

/** Delivers what `bytes` hold of a range and no more, whatever `size` claims. */
export function recordingSource(name: string, bytes: Uint8Array, size = bytes.length): RecordingSource {
  const reads: Read[] = [];
  return {
    name,
    size,
    reads,
    async read(offset, length) {
      reads.push({ offset, length });
      return bytes.slice(offset, offset + length);
    },
  };
}

export interface MemoryFolder extends Folder {
  readonly files: Record<string, Uint8Array>;
  /** Of all files, in order. */
  readonly reads: (Read & { readonly file: string })[];
}

/** Texts are stored as UTF-8, other values that are no bytes as JSON. */
export function memoryFolder(contents: Record<string, unknown>): MemoryFolder {
  const files = Object.fromEntries(Object.entries(contents).map(([name, content]) => [name, bytesOf(content)]));
  const reads: MemoryFolder["reads"] = [];
  return {
    files,
    reads,
    async open(name) {
      if (!Object.hasOwn(files, name)) return null;
      const bytes = files[name];
      return {
        name,
        size: bytes.length,
        async read(offset, length) {
          reads.push({ file: name, offset, length });
          return bytes.slice(offset, offset + length);
        },
      };
    },
  };
}

export function bytesOf(content: unknown): Uint8Array {
  if (content instanceof Uint8Array) return content;
  return new TextEncoder().encode(typeof content === "string" ? content : JSON.stringify(content));
}

/** A safetensors file from its parts, which need not fit together. */
export function safetensorsFile(header: string | Uint8Array, data: Uint8Array, headerLength?: bigint): Uint8Array {
  const headerBytes = bytesOf(header);
  const file = new Uint8Array(8 + headerBytes.length + data.length);
  new DataView(file.buffer).setBigUint64(0, headerLength ?? BigInt(headerBytes.length), true);
  file.set(headerBytes, 8);
  file.set(data, 8 + headerBytes.length);
  return file;
}

/** The text of an object. Not `JSON.stringify`'s, which would lose `__proto__` and put integers first. */
export const objectText = (members: Iterable<readonly [key: string, text: string]>): string =>
  `{${[...members].map(([key, text]) => `${JSON.stringify(key)}:${text}`).join()}}`;

export const headerText = (entries: readonly (readonly [name: string, entry: unknown])[]): string =>
  objectText(entries.map(([name, entry]) => [name, JSON.stringify(entry)]));

/** A tensor's entry in a header. */
export const f32 = (shape: number[], begin: number, end: number): Record<string, unknown> => ({
  dtype: "F32",
  shape,
  data_offsets: [begin, end],
});
