/**
 * Weights on the GPU: the packed bytes as they are in the bundle, in one buffer, or in several where a matrix is larger than what one
 * binding may hold. A cut lies between two tiles of 16 rows; the row scales stand behind the last tile.
 */

import { AerieError } from "../../errors.ts";
import type { WeightRole } from "../../model/weight-table.ts";
import type { Weight, WeightWriter } from "../backend.ts";
import { isMatrix, matrixShape, packedBytes, TILE_ROWS, tilesBytes, type WeightDType } from "../packed.ts";
import type { WebGpuDevice } from "./device.ts";
import type { Faults } from "./faults.ts";
import { type GpuBuffer, usage } from "./gpu.ts";
import type { Memory } from "./memory.ts";

export interface WebGpuWeight extends Weight {
  readonly dtype: WeightDType;
  readonly parts: readonly WeightPart[];
  /** Rows and columns of one matrix; a gate has several, one after the other, `matrixBytes` apart. */
  readonly rows: number;
  readonly columns: number;
  readonly matrixBytes: number;
  /** Where the row scales of the first matrix begin in their buffer, in f32. */
  readonly scalesAt: number;
  readonly scales: GpuBuffer;
  /** Bind groups by the bias that is added, which is a buffer too. */
  readonly groups: Map<GpuBuffer | null, readonly object[]>;
}

/** Rows of a matrix that lie in one buffer. */
export interface WeightPart {
  readonly buffer: GpuBuffer;
  readonly firstRow: number;
  readonly rows: number;
}

// A dispatch has at most so many workgroups a side, and one for each tile.
const MOST_TILES = 65_535;

export const partsOf = (w: Weight): readonly WeightPart[] => (w as WebGpuWeight).parts;

/** The bind group of one part of a weight, with the bias that goes with it. */
export function weightGroup(memory: Memory, w: Weight, part: number, bias: Weight | null): object {
  const { parts, scales, groups } = w as WebGpuWeight;
  const biasBuffer = bias && partsOf(bias)[0].buffer;
  let made = groups.get(biasBuffer);
  if (!made) {
    made = parts.map(({ buffer }) =>
      memory.group("weight", [{ buffer }, { buffer: scales }, { buffer: biasBuffer ?? buffer }]),
    );
    groups.set(biasBuffer, made);
  }
  return made[part];
}

export function weightWriter(
  { device }: WebGpuDevice,
  faults: Faults,
  memory: Memory,
  role: WeightRole,
  shape: readonly number[],
  dtype: WeightDType,
  bindingBytes: number,
): WeightWriter {
  const bytes = packedBytes(role, shape, dtype);
  const { count, rows, columns } = isMatrix(role)
    ? matrixShape(role, shape)
    : { count: 1, rows: 1, columns: bytes / 4 };
  const tileBytes = isMatrix(role) ? tilesBytes(dtype, TILE_ROWS, columns) : bytes;
  const scaleBytes = isMatrix(role) ? bytes / count - tilesBytes(dtype, rows, columns) : 0;
  // Tiles of each buffer but the last, which has the row scales as well.
  const tilesPerPart = Math.min(
    MOST_TILES,
    bytes <= bindingBytes ? Number.POSITIVE_INFINITY : Math.floor((bindingBytes - scaleBytes) / tileBytes),
  );
  if (tilesPerPart < 1 || (count > 1 && bytes > bindingBytes))
    throw new AerieError(
      "gpu.limits",
      `a weight of ${shape.join("×")} in ${dtype} has ${bytes} bytes, and this GPU binds at most ${bindingBytes} at a time`,
    );
  const tiles = Math.ceil(rows / TILE_ROWS);
  const parts: WeightPart[] = [];
  const starts: number[] = [];
  for (let tile = 0; tile < tiles; tile += tilesPerPart) {
    const isLast = tile + tilesPerPart >= tiles;
    const start = tile * tileBytes;
    const size = isLast ? bytes - start : tilesPerPart * tileBytes;
    starts.push(start);
    parts.push({
      buffer: memory.buffer({
        bytes: Math.ceil(size / 16) * 16, // kernels read whole vec4u
        usage: usage.storage | usage.copyTarget,
        what: `a weight of ${shape.join("×")} in ${dtype}`,
        advice: "close other programs that use it, take weights of fewer bits (rg4), or another backend",
      }),
      firstRow: tile * TILE_ROWS,
      rows: isLast ? rows - tile * TILE_ROWS : tilesPerPart * TILE_ROWS,
    });
  }
  const writer = new PartWriter(device, faults, parts, starts, bytes);
  return {
    write: (piece) => writer.write(piece),
    finish(): WebGpuWeight {
      writer.finish();
      const last = parts.length - 1;
      return {
        shape,
        dtype,
        parts,
        rows,
        columns,
        matrixBytes: bytes / count,
        scales: parts[last].buffer,
        scalesAt: (bytes / count - scaleBytes - starts[last]) / 4,
        groups: new Map(),
      };
    },
  };
}

/** Bytes in order, in pieces of any length, to buffers that take whole words. */
class PartWriter {
  readonly #device: WebGpuDevice["device"];
  readonly #faults: Faults;
  readonly #parts: readonly WeightPart[];
  readonly #starts: readonly number[];
  readonly #bytes: number;
  readonly #odd = new Uint8Array(4); // the bytes of a word that is not complete yet
  #written = 0;

  constructor(
    device: WebGpuDevice["device"],
    faults: Faults,
    parts: readonly WeightPart[],
    starts: readonly number[],
    bytes: number,
  ) {
    this.#device = device;
    this.#faults = faults;
    this.#parts = parts;
    this.#starts = starts;
    this.#bytes = bytes;
  }

  write(piece: Uint8Array): void {
    if (this.#written + piece.length > this.#bytes) throw wrongLength(this.#bytes, this.#written + piece.length);
    let from = 0;
    const pending = this.#written % 4;
    if (pending > 0) {
      from = Math.min(4 - pending, piece.length);
      this.#odd.set(piece.subarray(0, from), pending);
      if (pending + from === 4) this.#put(this.#written - pending, this.#odd);
    }
    const whole = (piece.length - from) & ~3;
    if (whole > 0) this.#put(this.#written + from, piece.subarray(from, from + whole));
    if (from + whole < piece.length) this.#odd.set(piece.subarray(from + whole));
    this.#written += piece.length;
  }

  finish(): void {
    if (this.#written !== this.#bytes) throw wrongLength(this.#bytes, this.#written);
  }

  /** `at` and the length are whole words; a piece may cross from one buffer into the next. */
  #put(at: number, bytes: Uint8Array): void {
    for (const [index, start] of this.#starts.entries()) {
      const end = this.#starts[index + 1] ?? this.#bytes;
      const [from, to] = [Math.max(at, start), Math.min(at + bytes.length, end)];
      if (from >= to) continue;
      this.#faults.watch(() =>
        this.#device.queue.writeBuffer(this.#parts[index].buffer, from - start, bytes.subarray(from - at, to - at)),
      );
    }
  }
}

function wrongLength(expected: number, found: number): AerieError {
  return new AerieError("memory.weights", `a weight has ${expected} packed bytes, found ${found}`);
}
