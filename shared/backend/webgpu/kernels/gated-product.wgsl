// y = activation(gate) * x.  ACTIVATION: 0 GELU in its tanh form, 1 SiLU.
// Source: MLPBlock and RecurrentBlock in recurrentgemma/torch/modules.py

struct Params { gate: u32, x: u32, y: u32, n: u32 }
@group(0) @binding(0) var<uniform> p: Params;

const GELU_SLOPE = 1.5957691216057308f; // 2 sqrt(2 / pi)
const GELU_CUBIC = 0.07135481627159536f; // that times 0.044715

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let at = element(id);
  if (at >= p.n) { return; }
  let gate = arena[p.gate + at];
  // x (1 + tanh z) / 2 = x sigmoid(2 z)
  let inner = select(gate, gate * (gate * gate * GELU_CUBIC + GELU_SLOPE), ACTIVATION == 0u);
  arena[p.y + at] = gate / (1f + expOf(-inner)) * arena[p.x + at];
}
