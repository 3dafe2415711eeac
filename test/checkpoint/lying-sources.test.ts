/** Can a source that lies about its length, breaks off or throws make the reader crash or take memory? */

import { expect, test } from "vitest";
import { openSafetensors, readF32 } from "../../shared/checkpoint/safetensors.ts";
import { CheckpointError } from "../../shared/errors.ts";
import { FILE, refusalOf } from "./judge.ts";
import { f32, headerText, type RecordingSource, recordingSource, safetensorsFile } from "./sources.ts";

const MIB = 2 ** 20;

// Opening and loading it takes five reads: length, header, last byte, a, b.
const plainHeader = JSON.stringify({ a: f32([2, 2], 0, 16), b: f32([2], 16, 24) });
const plainFile = safetensorsFile(plainHeader, new Uint8Array(24));

/** A source whose tensor claims `tensorBytes` and has five million. It watches the memory that is taken. */
function liar(tensorBytes: number): { source: RecordingSource; peakBytes: () => number } {
  const file = safetensorsFile(headerText([["a", f32([tensorBytes / 4], 0, tensorBytes)]]), new Uint8Array(5 * MIB));
  const source = recordingSource(FILE, file, file.length - 5 * MIB + tensorBytes);
  const before = process.memoryUsage().arrayBuffers;
  let peak = 0;
  const { read } = source;
  source.read = (offset, length) => {
    peak = Math.max(peak, process.memoryUsage().arrayBuffers - before);
    return read(offset, length);
  };
  return { source, peakBytes: () => Math.max(peak, process.memoryUsage().arrayBuffers - before) };
}

test.each([2 ** 32, 2 ** 40, 2 ** 50])(
  "a source that claims %d bytes and has five million costs no more than those",
  async (tensorBytes) => {
    // Memory for the tensor was taken before its first byte was read: 4 GB, or a RangeError beyond what an array can be.
    const { source, peakBytes } = liar(tensorBytes);
    const { message } = await refusalOf(source);
    expect(message).toMatch(/^model\.safetensors: expected 1 bytes at offset \d+, found 0: the file changed or/);
    expect(peakBytes()).toBeLessThan(16 * MIB);
    expect(Math.max(...source.reads.map(({ length }) => length))).toBeLessThanOrEqual(4 * MIB);
  },
);

test("a source that has its bytes, but more than memory can hold", async () => {
  // As a sparse file of a petabyte: a RangeError of the array's constructor came out.
  const header = headerText([["a", f32([2 ** 48], 0, 2 ** 50)]]);
  const start = safetensorsFile(header, new Uint8Array(0));
  const source = recordingSource(FILE, start, start.length + 2 ** 50);
  const { read } = source;
  source.read = async (offset, length) => (offset < start.length ? read(offset, length) : new Uint8Array(length));
  expect(await refusalOf(source)).toMatchObject({
    message: `${FILE}: a takes ${2 ** 50} bytes as f32, more than there is memory for`,
    tensor: "a",
  });
});

test("a size that is no number", async () => {
  const { message } = await refusalOf({ ...recordingSource(FILE, plainFile), size: Number.NaN });
  expect(message).toBe(`${FILE}: a safetensors file has at least 8 bytes, found NaN`);
});

test("reads that come back short, long or empty, whichever read it is", async () => {
  for (const difference of [-1, 1, -Infinity]) {
    for (let wrong = 0; wrong < 5; wrong++) {
      const source = recordingSource(FILE, plainFile);
      const { read } = source;
      source.read = async (offset, length) => {
        const bytes = await read(offset, length);
        if (source.reads.length - 1 !== wrong) return bytes;
        return difference < 0 ? bytes.slice(0, Math.max(0, length + difference)) : Uint8Array.of(...bytes, 0);
      };
      const error = await refusalOf(source);
      expect(error.code).toBe("checkpoint.unreadable");
      expect(error.message).toMatch(
        /expected \d+ bytes at offset \d+, found \d+: the file changed or the transfer broke/,
      );
    }
  }
});

test.each<[string, unknown, string]>([
  ["an Error", new Error("EIO: i/o error, read"), "EIO: i/o error, read"],
  ["a DOMException", new DOMException("The operation timed out.", "TimeoutError"), "The operation timed out."],
  ["a string", "gone", "gone"],
  ["nothing at all", undefined, "undefined"],
])("reads that throw %s, at once or later", async (_, cause, reason) => {
  // Whatever a disk, a bucket or a network throws came out as it was, without the file's name.
  for (const wrong of [0, 1, 2, 3, 4]) {
    const source = recordingSource(FILE, plainFile);
    const { read } = source;
    source.read = (offset, length) => {
      if (source.reads.length < wrong) return read(offset, length);
      if (wrong % 2) throw cause;
      return Promise.reject(cause);
    };
    const error = await refusalOf(source);
    expect(error.message).toMatch(/^model\.safetensors: reading \d+ bytes at offset \d+ failed: /);
    expect(error.message).toContain(reason);
    expect(error.cause).toBe(cause);
  }
});

test("a source's own CheckpointError comes out as it is", async () => {
  const own = new CheckpointError("unreadable", `${FILE}: the bucket answered 403`);
  expect(await refusalOf({ ...recordingSource(FILE, plainFile), read: () => Promise.reject(own) })).toBe(own);
});

test("a file that shrinks after it was opened", async () => {
  const source = recordingSource(FILE, plainFile);
  const tensors = await openSafetensors(source);
  source.read = async () => new Uint8Array(0);
  await expect(readF32(tensors.get("b")!)).rejects.toThrow(
    `${FILE}: expected 8 bytes at offset ${plainFile.length - 8}, found 0: the file changed or the transfer broke off`,
  );
});
