/** Local attention over the ring: round this call's keys and values, score, weigh, mix, store. */

import type { AttentionCall, Tensor } from "../backend.ts";
import type { Arena } from "./arena.ts";
import { type Commands, f32Word } from "./commands.ts";
import { cover, coverElements, workgroups } from "./grid.ts";
import { kernels, type Style } from "./kernels.ts";
import { isBatch, positionsOf, type SequenceTable } from "./sequences.ts";
import { atOf } from "./tensor.ts";

// Dimensions of a head that a workgroup takes (local-attention.workgroup.wgsl).
const WORKGROUP_DIMS = 16;

export function attend(
  commands: Commands,
  arena: Arena,
  sequences: SequenceTable,
  style: Style,
  call: AttentionCall,
  out: Tensor,
): void {
  const { q, k, v, shape, state, keys, values } = call;
  const { heads: H, kvHeads: G, headDim: K } = shape;
  const T = q.rows;
  const [W] = keys.rows.shape;
  const ring = kernels.ring[keys.rows.dtype][style];
  const { room, base, table, position } = sequences.place(state, T, 5);
  const groups = { state: room };
  // Of keys, never more than any row sees.
  const windowKeys = Math.min(call.windowKeys, Math.max(...positionsOf(state, T)) + 1);
  const places = [keys.rows, keys.scales, values.rows, values.scales].map(
    (region) => base + (region?.offsetBytes ?? 0) / 4,
  );
  const top = arena.top;

  const isExact = keys.rows.dtype === "f32"; // a ring that stores them as they are
  const [ownKeys, ownValues] = isExact ? [atOf(k), atOf(v)] : [0, 1].map(() => arena.allocate(T * G * K));
  const rows = (first: number, count: number) => [
    atOf(k), atOf(v), ownKeys, ownValues, ...places, first, count, G, K, W, table, position,
  ]; // biome-ignore format: a kernel's parameters
  const fours = (count: number) => coverElements((2 * count * G * K) / 4);
  if (!isExact) commands.dispatch(ring.round, groups, fours(T), rows(0, T));

  const scores = arena.allocate(T * H * windowKeys);
  const totals = arena.allocate(T * H);
  const words = [
    atOf(q), ownKeys, ownValues, atOf(out), scores, totals, ...places, T, H, G, K, W, windowKeys, table, position, f32Word(1 / Math.sqrt(K)),
  ]; // biome-ignore format: a kernel's parameters
  commands.dispatch(ring.score, groups, cover(windowKeys, H, T), words);
  const isShared = style === "workgroups";
  commands.dispatch(ring.weigh, groups, isShared ? workgroups(T * H) : coverElements(T * H), words);
  commands.dispatch(ring.mix, groups, isShared ? [Math.ceil(K / WORKGROUP_DIMS), H, T] : cover(K, H, T), words);
  arena.releaseTo(top);

  // Of a call longer than the ring, the last W rows remain.
  const kept = isBatch(state) ? T : Math.min(T, W);
  commands.dispatch(ring.store, groups, fours(kept), rows(T - kept, kept));
}
