/** Is what became of a safetensors file right?  Either all its tensors, as an independent reading finds them, or a refusal. */

import { expect } from "vitest";
import type { ByteSource } from "../../shared/checkpoint/byte-source.ts";
import { openSafetensors, readF32, type TensorEntry } from "../../shared/checkpoint/safetensors.ts";
import { CheckpointError } from "../../shared/errors.ts";
import { type Dtype, readSafetensors } from "../oracle/safetensors.ts";
import { recordingSource, safetensorsFile } from "./sources.ts";

export const FILE = "model.safetensors";

/** Opens a file and reads all its tensors. Which of both outcomes it must be is up to the caller. */
export async function judge(bytes: Uint8Array): Promise<"loads" | CheckpointError> {
  const source = recordingSource(FILE, bytes);
  const opened = await openSafetensors(source).catch(refusal);
  if (opened instanceof Map) {
    expectSameEntries(opened, bytes);
    for (const entry of opened.values()) await expectSameValues(entry, bytes);
  }
  for (const { offset, length } of source.reads) {
    if (!(offset >= 0 && length >= 0 && offset + length <= bytes.length))
      expect.fail(`read ${length} bytes at ${offset} of a file of ${bytes.length}`);
  }
  return opened instanceof Map ? "loads" : opened;
}

/** What opening and reading a source ends in, which must be a refusal. */
export async function refusalOf(source: ByteSource): Promise<CheckpointError> {
  try {
    for (const entry of (await openSafetensors(source)).values()) await readF32(entry);
  } catch (error) {
    return refusal(error, source.name);
  }
  return expect.fail(`${source.name} was not refused`);
}

/** The error as a `CheckpointError` whose sentence is one: it names the file and the tensor, and fits a screen. */
export function refusal(error: unknown, file = FILE): CheckpointError {
  if (!(error instanceof CheckpointError)) throw error;
  expect(error.message).toContain(file);
  expect(error.message.length).toBeLessThan(1000);
  if (error.tensor !== undefined)
    expect(error.message).toContain(JSON.stringify(error.tensor.slice(0, 200)).slice(1, -1));
  return error;
}

interface HeaderEntry {
  readonly dtype: string;
  readonly shape: number[];
  readonly data_offsets: [number, number];
}

function headerOf(bytes: Uint8Array): { dataStart: number; entries: [string, HeaderEntry][] } {
  const dataStart = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const json = JSON.parse(new TextDecoder().decode(bytes.subarray(8, dataStart)));
  return { dataStart, entries: Object.entries<HeaderEntry>(json).filter(([name]) => name !== "__metadata__") };
}

/** The header's tensors, and every byte of the data in exactly one of them. */
function expectSameEntries(tensors: ReadonlyMap<string, TensorEntry>, bytes: Uint8Array): void {
  const { dataStart, entries } = headerOf(bytes);
  const independent = entries.map(
    ([
      name,
      {
        dtype,
        shape,
        data_offsets: [begin, end],
      },
    ]) => [name, { dtype, shape, offsetBytes: dataStart + begin, bytes: end - begin }],
  );
  const found = [...tensors].map(([name, { dtype, shape, offsetBytes, bytes }]) => [
    name,
    { dtype, shape, offsetBytes, bytes },
  ]);
  expect(JSON.stringify(found)).toBe(JSON.stringify(independent)); // as JSON, which knows no −0
  const owners = new Uint8Array(bytes.length - dataStart);
  for (const [, { data_offsets }] of entries) for (let at = data_offsets[0]; at < data_offsets[1]; at++) owners[at]++;
  expect(owners.every((count) => count === 1)).toBe(true);
}

const isFloat = (dtype: string): dtype is Dtype => dtype === "F32" || dtype === "BF16" || dtype === "F16";

/** The oracle's values, or the refusal that the first one that is not finite, or the dtype, asks for. */
async function expectSameValues(entry: TensorEntry, bytes: Uint8Array): Promise<void> {
  const { name, dtype } = entry;
  if (!isFloat(dtype)) {
    expect(await readF32(entry).catch(refusal)).toMatchObject({ code: "checkpoint.dtype", tensor: name });
    return;
  }
  const { dataStart, entries } = headerOf(bytes);
  const alone = fileOf(entries.find(([each]) => each === name)!, bytes.subarray(dataStart));
  const expected = readSafetensors(alone).get(name)!.data;
  const wrong = expected.findIndex((value) => !Number.isFinite(value));
  if (wrong === -1) expectExactly(await readF32(entry), expected);
  else {
    const error = await readF32(entry).catch(refusal);
    expect(error).toMatchObject({ code: "checkpoint.value", tensor: name });
    expect((error as CheckpointError).message).toContain(`has ${expected[wrong]} at element ${wrong},`);
  }
}

/** A file of this tensor alone: the oracle refuses the dtypes of others. */
function fileOf(
  [
    name,
    {
      dtype,
      shape,
      data_offsets: [begin, end],
    },
  ]: [string, HeaderEntry],
  data: Uint8Array,
): Uint8Array {
  const entry = JSON.stringify({ dtype, shape, data_offsets: [0, end - begin] });
  return safetensorsFile(`{${JSON.stringify(name)}:${entry}}`, data.subarray(begin, end));
}

/** Equal bit for bit as numbers: −0 is not 0. */
export function expectExactly(found: ArrayLike<number>, expected: ArrayLike<number>): void {
  expect(found.length).toBe(expected.length);
  for (let at = 0; at < found.length; at++) {
    if (!Object.is(found[at], expected[at])) expect.fail(`element ${at}: expected ${expected[at]}, found ${found[at]}`);
  }
}
