/** The recurrence of the RG-LRU: the first position, later ones, gates at their ends, channels that forget at once or never. */

import { describe, test } from "vitest";
import { stateLayout } from "../../shared/model/state-layout.ts";
import { judge, type OpCase, roomyConfig, type Tolerance } from "./conformance.ts";
import { normals, seeded } from "./seeded.ts";

const tolerance: Tolerance = { nmse: 1e-13, reason: "exponentials of 2.5 ULP in f32, fed back: measured 2.9e-14" };
const endOfSigmoid: Tolerance = {
  nmse: 2e-8,
  reason: "σ(−1000) is held at 4.2e-39, and a decay of −1e30 makes it count: measured 9.5e-9",
};

/** What a kind of channel makes of a decay, −8 · softplus(Λ), of ordinary size. */
const decays = {
  ordinary: (k: number) => k,
  "forgets at once": () => -1e30,
  "hardly forgets": (k: number) => k * 1e-9,
  "never forgets": () => 0,
} as const;

/** What a kind of row makes of a gate's logit of ordinary size. */
const gates = {
  ordinary: (x: number) => x,
  extreme: (x: number) => (x > 0 ? 50 : -50),
  "beyond what exp can say": (x: number) => (x > 0 ? 1000 : -1000),
} as const;

describe.each(Object.keys(decays) as (keyof typeof decays)[])("a channel that is or %s", (decay) => {
  test.each(Object.keys(gates) as (keyof typeof gates)[])("%s gates", async (gate) => {
    await judge([4, 48, 256].flatMap((E) => [0, 1, 1e6].map((position) => recurrenceCase(E, position, decay, gate))));
  });
});

function recurrenceCase(E: number, position: number, decay: keyof typeof decays, gate: keyof typeof gates): OpCase {
  const seed = E;
  const random = seeded(seed);
  const T = 20;
  const layout = stateLayout({ ...roomyConfig(E), lruWidth: E, mixers: ["rg-lru"] });
  const [block] = layout.blocks;
  if (block.kind !== "rg-lru") throw new TypeError(block.kind);
  const bytes = new Uint8Array(layout.bytes);
  const h = new Float32Array(bytes.buffer, block.h.offsetBytes, E);
  if (position === 0)
    h.fill(Number.NaN); // nothing that is there may count
  else h.set(normals(random, E));
  const logits = () => ({ rows: T, columns: E, values: normals(random, T * E, 3).map(gates[gate]) });
  return {
    op: "rgLru",
    sizes: { T, E, position, decay, gate },
    seed,
    tolerance: decay === "forgets at once" && gate === "beyond what exp can say" ? endOfSigmoid : tolerance,
    T,
    inputs: [{ rows: T, columns: E, values: normals(random, T * E) }, logits(), logits()],
    weights: [
      {
        role: "decay",
        shape: [E],
        dtype: "f32",
        values: normals(random, E).map((x) => decays[decay](-8 * Math.log1p(Math.exp(x - 3)))),
      },
    ],
    state: { layout, position, bytes, computed: [block.h] },
    run: ({ backend, x: [x, inputGate, recurrenceGate], w: [k], state }) =>
      backend.rgLru(x, inputGate, recurrenceGate, k, state, block.h),
  };
}
