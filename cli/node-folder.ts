/** A folder of the local file system as the engine's `Folder`: opened files are read in ranges. */

import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import type { ByteSource, Folder } from "../shared/checkpoint/byte-source.ts";

export interface NodeFolder extends Folder {
  /** Closes every file that was opened. */
  close(): Promise<void>;
}

export function nodeFolder(path: string): NodeFolder {
  const handles: FileHandle[] = [];
  return {
    async open(name) {
      const handle = await open(join(path, name), "r").catch((error: NodeJS.ErrnoException) => {
        if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
        throw error;
      });
      if (!handle) return null;
      handles.push(handle);
      const { size } = await handle.stat();
      return fileSource(name, size, handle);
    },
    async close() {
      await Promise.all(handles.splice(0).map((handle) => handle.close()));
    },
  };
}

function fileSource(name: string, size: number, handle: FileHandle): ByteSource {
  return {
    name,
    size,
    async read(offset, length) {
      const bytes = new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const { bytesRead } = await handle.read(bytes, done, length - done, offset + done);
        if (bytesRead === 0) break; // the file is shorter than it was
        done += bytesRead;
      }
      return bytes.subarray(0, done);
    },
  };
}
