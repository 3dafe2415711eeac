/**
 * Where weights lie: in two streams, which a decode step reads both at once, each from its beginning to its end.
 *
 *    first     embedding, upper half · norm · linear_y, upper half · its bias · …       what is not quantised lies here, too
 *    second    embedding, lower half · linear_y, lower half · …
 *
 * Of a quantised matrix the upper half of its tiles lies in the first stream and the rest in the second, each half with its row
 * scales behind it. A prefetcher takes most of a microsecond to find a stream, as long as a core needs for 20 kB: in this order
 * each stream goes on with the next matrix.
 */

import {
  alignedBytes,
  isMatrix,
  matrixShape,
  type PackedWeight,
  rowScalesBytes,
  TILE_ROWS,
  tilesBytes,
  type WeightDType,
} from "../packed.ts";
import type { Matrix, MatrixPart } from "./tensor.ts";

/** Two lengths or two addresses. */
export interface Streams {
  readonly first: number;
  readonly second: number;
}

export const totalBytes = ({ first, second }: Streams): number => first + second;

/** Bytes that weights take in the streams, each weight aligned. */
export function streamsOf(weights: readonly PackedWeight[]): Streams {
  let [first, second] = [0, 0];
  for (const weight of weights) {
    const bytes = bytesInStreams(weight);
    first += alignedBytes(bytes.first);
    second += alignedBytes(bytes.second);
  }
  return { first, second };
}

/** Bytes that a weight takes in the streams. */
export function bytesInStreams({ role, shape, dtype }: PackedWeight): Streams {
  if (!isMatrix(role)) return { first: 4 * shape.reduce((product, side) => product * side, 1), second: 0 };
  const { count, rows, columns } = matrixShape(role, shape);
  const [first, second] = halves(dtype, rows).map((half) => count * partBytes(dtype, half, columns));
  return { first, second };
}

/** The matrices of a weight that lies at `at`. */
export function matricesOf({ role, shape, dtype }: PackedWeight, at: Streams): Matrix[] {
  if (!isMatrix(role)) return [];
  const { count, rows, columns } = matrixShape(role, shape);
  const [upper, lower] = halves(dtype, rows);
  const [upperBytes, lowerBytes] = [partBytes(dtype, upper, columns), partBytes(dtype, lower, columns)];
  return Array.from({ length: count }, (_, m) => {
    const parts = [
      partAt(at.first + m * upperBytes, dtype, columns, 0, upper),
      partAt(at.second + m * lowerBytes, dtype, columns, upper, lower),
    ].filter((part) => part.rows > 0);
    return { rows, columns, parts, bytes: upperBytes + lowerBytes };
  });
}

/** Where the packed bytes of a weight go, in the order in which they come: of every matrix all tiles, then all row scales. */
export function* places(
  weight: PackedWeight,
  at: Streams,
): Generator<{ readonly at: number; readonly bytes: number }, undefined> {
  const { role, dtype } = weight;
  if (!isMatrix(role)) yield { at: at.first, bytes: bytesInStreams(weight).first };
  for (const { columns, parts } of matricesOf(weight, at)) {
    for (const part of parts) yield { at: part.at, bytes: tilesBytes(dtype, part.rows, columns) };
    if (dtype === "f32" || dtype === "f16") continue;
    for (const part of parts) yield { at: part.rowScales, bytes: rowScalesBytes(dtype, part.rows) };
  }
}

/** Rows of the two parts, whole tiles of them but for the matrix's last. What is exact has one kernel call and one part. */
function halves(dtype: WeightDType, rows: number): [number, number] {
  if (dtype === "f32" || dtype === "f16") return [rows, 0];
  const upper = Math.min(rows, Math.ceil(Math.ceil(rows / TILE_ROWS) / 2) * TILE_ROWS);
  return [upper, rows - upper];
}

const partBytes = (dtype: WeightDType, rows: number, columns: number): number =>
  tilesBytes(dtype, rows, columns) + rowScalesBytes(dtype, rows);

const partAt = (at: number, dtype: WeightDType, columns: number, firstRow: number, rows: number): MatrixPart => ({
  at,
  rowScales: at + tilesBytes(dtype, rows, columns),
  firstRow,
  rows,
});
