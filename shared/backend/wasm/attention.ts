/** Local attention over the ring: gathers the window as dense rows, then one kernel call per kv head. */

import type { RingDType, RingRegion } from "../../model/state-layout.ts";
import type { AttentionCall, State } from "../backend.ts";
import type { Kernels } from "./kernels.ts";
import type { Counters } from "./matmul.ts";
import type { KernelMemory } from "./memory.ts";
import type { StateSlots } from "./states.ts";
import { atOf } from "./tensor.ts";

// The numbers of assembly/ring.ts.
const ringDTypes = { f32: 0, f16: 1, i8: 2 } as const satisfies Record<RingDType, number>;

export function attend(
  kernels: Kernels,
  memory: KernelMemory,
  slots: StateSlots,
  counters: Counters,
  call: AttentionCall,
  out: number,
): void {
  const { q, k, v, shape, windowKeys, state } = call;
  const { heads, kvHeads, headDim: K } = shape;
  const T = q.rows;
  const { position } = state;
  // Earlier keys that the first query sees; later queries see no older ones.
  const earlier = Math.min(position, windowKeys - 1);
  const rings = [call.keys, call.values].map((ring) => openRing(slots, state, ring));
  const queries = heads / kvHeads;

  memory.scope(() => {
    const rowsBytes = (earlier + T) * K * 4;
    const dense = rings.map(() => memory.allocate(rowsBytes));
    const scores = memory.allocate(2 * 4 * (windowKeys + 4)); // of two heads
    const stored = memory.allocate(4 * K);
    for (let g = 0; g < kvHeads; g++) {
      for (const [at, { rows, scales, dtype, W }] of rings.entries()) {
        const own = at === 0 ? k : v;
        kernels.ringLoad(rows, scales, dtype, W, kvHeads, K, g, position - earlier, earlier, dense[at]);
        kernels.ringRound(dtype, atOf(own), T, kvHeads, K, g, stored, dense[at] + earlier * K * 4);
      }
      const column = g * queries * K * 4;
      kernels.localAttention(
        atOf(q) + column, 4 * q.columns, dense[0], dense[1], out + column, scores, T, queries, K, earlier, windowKeys, 1 / Math.sqrt(K),
      ); // biome-ignore format: one call
    }
  });

  for (const [at, ring] of rings.entries()) {
    const own = atOf(at === 0 ? k : v);
    // Of a call longer than the ring, the last W rows remain.
    for (let t = Math.max(0, T - ring.W); t < T; t++)
      kernels.ringStore(
        ring.rows,
        ring.scales,
        ring.dtype,
        ring.W,
        kvHeads,
        K,
        position + t,
        own + t * kvHeads * K * 4,
      );
    counters.ringBytes += earlier * kvHeads * ring.rowBytes;
  }
  for (let t = 0; t < T; t++) counters.multiplyAdds += 2 * heads * K * Math.min(position + t + 1, windowKeys);
}

function openRing(slots: StateSlots, state: State, { rows, scales }: RingRegion) {
  const [W, G] = rows.shape;
  return {
    rows: slots.address(state, rows),
    scales: scales ? slots.address(state, scales) : 0,
    dtype: ringDTypes[rows.dtype],
    W,
    rowBytes: rows.bytes / (W * G),
  };
}
