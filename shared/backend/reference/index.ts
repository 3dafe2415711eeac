/** The backend that defines the others: every verb in plain TypeScript, f32 between verbs and f64 inside them. */

import type { WeightRole } from "../../model/weight-table.ts";
import type { Backend, Tensor, WeightWriter } from "../backend.ts";
import { packedBytes, unpack, type WeightDType } from "../packed.ts";
import { add } from "./add.ts";
import { blockMatmul } from "./block-matmul.ts";
import { conv1d } from "./conv1d.ts";
import { embed } from "./embed.ts";
import { gatedProduct } from "./gated-product.ts";
import { largest } from "./largest.ts";
import { localAttention } from "./local-attention.ts";
import { matmul } from "./matmul.ts";
import { rgLru } from "./rg-lru.ts";
import { rmsNorm } from "./rms-norm.ts";
import { rope } from "./rope.ts";
import { softCap } from "./soft-cap.ts";
import { createState, dataOf, type ReferenceState, type ReferenceTensor, type ReferenceWeight } from "./tensor.ts";

export function referenceBackend(): Backend {
  return {
    name: "reference",
    maxTokens: Number.POSITIVE_INFINITY,
    weight: weightWriter,
    createState,
    readState: async (state) => (state as ReferenceState).bytes.slice(),
    writeState: (state, bytes, position) => {
      (state as ReferenceState).bytes.set(bytes);
      state.position = position;
    },
    scope: (body) => body(), // the garbage collector releases
    async read(x, into = new Float32Array(x.rows * x.columns)) {
      into.set(dataOf(x));
      return into;
    },
    largest,
    lastRow: (x: Tensor): ReferenceTensor => ({
      rows: 1,
      columns: x.columns,
      data: dataOf(x).subarray((x.rows - 1) * x.columns),
    }),
    embed,
    rmsNorm,
    matmul,
    blockMatmul,
    conv1d,
    rgLru,
    rope,
    localAttention,
    gatedProduct,
    add,
    softCap,
  };
}

function weightWriter(role: WeightRole, shape: readonly number[], dtype: WeightDType): WeightWriter {
  const packed = new Uint8Array(packedBytes(role, shape, dtype));
  let written = 0;
  return {
    write(bytes) {
      packed.set(bytes, written); // throws where it does not fit
      written += bytes.length;
    },
    finish(): ReferenceWeight {
      if (written !== packed.length)
        throw new RangeError(`a weight has ${packed.length} packed bytes, found ${written}`);
      return { shape, dtype, data: unpack(role, shape, dtype, packed) };
    },
  };
}
