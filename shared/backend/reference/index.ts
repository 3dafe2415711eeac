/** The backend that defines the others: every verb in plain TypeScript, f32 between verbs and f64 inside them. */

import type { Backend, Tensor } from "../backend.ts";
import { add } from "./add.ts";
import { blockMatmul } from "./block-matmul.ts";
import { conv1d } from "./conv1d.ts";
import { embed } from "./embed.ts";
import { gatedProduct } from "./gated-product.ts";
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
    weight: (_role, shape, values): ReferenceWeight => ({ shape, data: values }),
    createState,
    readState: async (state) => (state as ReferenceState).bytes.slice(),
    writeState: (state, bytes, position) => {
      (state as ReferenceState).bytes.set(bytes);
      state.position = position;
    },
    scope: (body) => body(), // the garbage collector releases
    read: async (x) => dataOf(x).slice(),
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
