/** The channel mixer of every block: a gated MLP (GeGLU). */

import type { Backend, Tensor, Weight } from "../backend/backend.ts";
import type { ModelConfig } from "../model/config.ts";
import type { MlpWeights } from "../model/weight-tree.ts";

/** down(activation(gate x) ⊙ up x): x [T, D] → [T, D].  Source: MLPBlock in recurrentgemma/torch/modules.py */
export function gatedMlp(backend: Backend, config: ModelConfig, w: MlpWeights<Weight>, x: Tensor): Tensor {
  const gate = backend.matmul(x, w.gate.weight, w.gate.bias);
  const up = backend.matmul(x, w.up.weight, w.up.bias);
  return backend.matmul(backend.gatedProduct(config.activation, gate, up), w.down.weight, w.down.bias);
}
