/** Where each part of a conversation's state lies: one block of bytes whose size follows from the config alone. */

import type { ModelConfig } from "./config.ts";

/** How the attention ring stores keys and values. `i8` has one f32 scale per row and kv head. */
export type RingDType = "f32" | "f16" | "i8";

/** A dense row-major array inside the state's bytes. */
export interface StateRegion {
  readonly shape: readonly number[];
  readonly dtype: RingDType;
  readonly offsetBytes: number;
  readonly bytes: number;
}

/** The ring's rows; position p lies in slot p mod W. Keys are stored after RoPE. */
export interface RingRegion {
  readonly rows: StateRegion; //          [W, G, K]
  readonly scales: StateRegion | null; // [W, G] f32, for i8 rows
}

export interface RecurrentState {
  readonly kind: "rg-lru";
  readonly h: StateRegion; //    [E] f32, whatever the weights are
  readonly conv: StateRegion; // [taps − 1, E] f32, inputs of the convolution, oldest first
}

export interface AttentionState {
  readonly kind: "local-attention";
  readonly keys: RingRegion;
  readonly values: RingRegion;
}

export interface StateLayout {
  readonly blocks: readonly (RecurrentState | AttentionState)[];
  /** All `h` and `conv` lie before all rings, so that this prefix is the part that a rollback needs. */
  readonly recurrentBytes: number;
  readonly bytes: number;
}

// Regions begin at multiples of this, so that SIMD loads and typed-array views are aligned.
const ALIGNMENT_BYTES = 16;

const bytesPerElement = { f32: 4, f16: 2, i8: 1 } as const satisfies Record<RingDType, number>;

/** The layout for one conversation with attention rings of the given dtype. */
export function stateLayout(config: ModelConfig, ring: RingDType = "f32"): StateLayout {
  const { lruWidth, convWidth, windowSize, kvHeads, headDim } = config;
  let offsetBytes = 0;
  const region = (dtype: RingDType, ...shape: number[]): StateRegion => {
    const bytes = shape.reduce((product, side) => product * side, bytesPerElement[dtype]);
    const placed = { shape, dtype, offsetBytes, bytes };
    offsetBytes += Math.ceil(bytes / ALIGNMENT_BYTES) * ALIGNMENT_BYTES;
    return placed;
  };
  const ringRegion = (): RingRegion => ({
    rows: region(ring, windowSize, kvHeads, headDim),
    scales: ring === "i8" ? region("f32", windowSize, kvHeads) : null,
  });

  const recurrent = config.mixers.map((kind) =>
    kind === "rg-lru" ? { kind, h: region("f32", lruWidth), conv: region("f32", convWidth - 1, lruWidth) } : null,
  );
  const recurrentBytes = offsetBytes;
  const blocks = recurrent.map(
    (state) => state ?? { kind: "local-attention" as const, keys: ringRegion(), values: ringRegion() },
  );
  return { blocks, recurrentBytes, bytes: offsetBytes };
}
