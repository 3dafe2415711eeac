/** Random weights of true shape, packed directly: a model to measure, not to talk to. */

import type { Backend, Weight, WeightWriter } from "../../shared/backend/backend.ts";
import { isMatrix, matrixShape, rowScalesBytes, tilesBytes, type WeightDType } from "../../shared/backend/packed.ts";
import { dtypeOf, type MatrixDTypes } from "../../shared/checkpoint/matrix-dtypes.ts";
import { preparedShape } from "../../shared/checkpoint/prepare.ts";
import type { ModelConfig } from "../../shared/model/config.ts";
import { elements, type WeightRole, weightTable } from "../../shared/model/weight-table.ts";
import { type ModelWeights, mapWeights } from "../../shared/model/weight-tree.ts";

/** The same for the same seed. Activations stay of order 1, so that no kernel meets infinities or subnormals. */
export function randomWeights(
  config: ModelConfig,
  dtypes: MatrixDTypes,
  backend: Backend,
  seed = 1,
): ModelWeights<Weight> {
  const random = xorshift(seed);
  return mapWeights(weightTable(config), ({ role, shape: stored }) => {
    const shape = preparedShape(role, stored);
    const dtype = dtypeOf(role, stored, dtypes);
    const writer = backend.weight(role, shape, dtype);
    if (isMatrix(role)) writeMatrices(writer, role, shape, dtype, random);
    else writer.write(bytesOf(Float32Array.from({ length: elements(shape) }, () => vectorValue(role, random()))));
    return writer.finish();
  });
}

/** `u` is uniform in [−1, 1). */
function vectorValue(role: WeightRole, u: number): number {
  if (role === "decay") return -0.2 * (1 + u) - 0.001; // a mostly between 0.8 and 1
  return role === "conv" ? 0.5 * u : 0.1 * u;
}

const PIECE_BYTES = 2 ** 20;

function writeMatrices(
  writer: WeightWriter,
  role: WeightRole,
  shape: readonly number[],
  dtype: WeightDType,
  random: () => number,
): void {
  const { count, rows, columns } = matrixShape(role, shape);
  const tiles = tilesBytes(dtype, rows, columns);
  const deviation = (role === "embedding" ? 0.5 : 0.7) / Math.sqrt(columns);
  // A stretch of whole blocks, made once and written over and over: no kernel can tell.
  const unit = { f32: 64, f16: 32, rg8: 528, rg4: 288 }[dtype];
  const stretch = randomStretch(dtype, Math.floor(PIECE_BYTES / unit), deviation, random);
  for (let m = 0; m < count; m++) {
    for (let at = 0; at < tiles; at += stretch.length)
      writer.write(stretch.subarray(0, Math.min(stretch.length, tiles - at)));
    const rowScales = new Float32Array(rowScalesBytes(dtype, rows) / 4);
    // Mean of |integer · block scale|: 4 · 64 for rg4, 64 · 64 for rg8.
    writer.write(bytesOf(rowScales.fill(deviation / (dtype === "rg8" ? 4096 : 256))));
  }
}

function randomStretch(dtype: WeightDType, units: number, deviation: number, random: () => number): Uint8Array {
  if (dtype === "f32") return bytesOf(Float32Array.from({ length: units * 16 }, () => 1.7 * deviation * random()));
  if (dtype === "f16")
    return bytesOf(
      Uint16Array.from(
        { length: units * 16 },
        () => (random() < 0 ? 0x8000 : 0) | (0x2400 + Math.floor(512 * Math.abs(random()))),
      ),
    );
  const bytes = Uint8Array.from(
    { length: units * (dtype === "rg8" ? 528 : 288) },
    () => Math.floor(128 * random()) & 0xff,
  );
  const [unit, scalesAt] = dtype === "rg8" ? [528, 512] : [288, 256];
  for (let at = 0; at < bytes.length; at++) {
    if (at % unit >= scalesAt) bytes[at] = 48 + (bytes[at] & 31);
    else if (dtype === "rg8" && bytes[at] === 0x80) bytes[at] = 0; // rg8's integers end at −127
  }
  return bytes;
}

/** Uniform in [−1, 1). */
function xorshift(seed: number): () => number {
  let x = (seed * 2_654_435_761) >>> 0 || 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x / 2 ** 31;
  };
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array | Uint16Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);
