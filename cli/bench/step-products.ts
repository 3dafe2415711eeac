/** The matrix products of a decode step and nothing else, so that a bench can tell how much of a step is anything else. */

import type { WasmBackend } from "../../shared/backend/wasm/index.ts";
import { instantiate } from "../../shared/backend/wasm/kernels.ts";
import { Matmul } from "../../shared/backend/wasm/matmul.ts";
import type { WasmTensor, WasmWeight } from "../../shared/backend/wasm/tensor.ts";
import type { Model } from "../../shared/engine.ts";
import { weightLeaves } from "../../shared/model/weight-tree.ts";

/**
 * Multiplies by all of the model's matrices, in a step's order and in kernels of its own on the model's memory. The activations are
 * ones, and quantised once for each width: quantising them for every product counts as something else.
 */
export function stepProducts({ backend, weights }: Model): () => void {
  const { memory, module } = backend as WasmBackend;
  const matmul = new Matmul(instantiate(module, memory.memory), memory, {
    multiplyAdds: 0,
    weightBytes: 0,
    ringBytes: 0,
  });
  const [embedding, ...others] = weightLeaves(weights) as WasmWeight[];
  // Without an output matrix of its own, a step ends with the embedding's.
  const products = [...others, ...(weights.lmHead ? [] : [embedding])].flatMap((w, at, all) => {
    if (w.matrices.length === 0) return [];
    const isGate = w.shape.length === 3;
    const columns = isGate ? w.shape[0] * w.shape[1] : w.shape[1];
    return [{ w, columns, rows: w.matrices.length * w.matrices[0].rows, gateBias: isGate ? all[at + 1] : null }];
  });
  const most = Math.max(...products.map(({ rows }) => rows));
  const tensor = (columns: number): WasmTensor => {
    const at = memory.allocate(4 * columns + 60); // a product ends with a whole tile of 16 rows
    memory.f32(at, columns).fill(1);
    return { rows: 1, columns, at, quantised: [] };
  };

  return () =>
    memory.scope(() => {
      const y = tensor(most);
      const inputs = new Map<number, WasmTensor>();
      for (const { w, columns, gateBias } of products) {
        const x = inputs.get(columns) ?? tensor(columns);
        inputs.set(columns, x);
        if (gateBias) matmul.blockProduct(x, w, gateBias, y);
        else matmul.product(x, 0, w, 0, 0, y.at, 0);
      }
    });
}
