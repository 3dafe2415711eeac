/** What the sampler's tests feed it: random logits and options, and a context with nothing in it. */

import fc from "fast-check";
import type { SampleContext } from "../../shared/sampler/context.ts";
import { uniform } from "../../shared/sampler/philox.ts";

/** A fixed seed: the same cases in every run, so that a failure is a change. */
export const propertyRuns = { seed: 20240229, numRuns: 500 };

export const atStart: SampleContext = { history: [], outputCounts: new Map(), outputIndex: 0 };

// On a grid, since distances from the entropy that differ by less than a rounding error order as they like.
const spread = fc.integer({ min: -15 * 1024, max: 15 * 1024 }).map((n) => n / 1024);
const tied = fc.integer({ min: -3, max: 3 });
const banned = fc.constant(-Infinity);
const remote = fc.constantFrom(-1000, -45, -36.5);

/** 1 to 50 logits: spread out, or full of ties, some banned, some too unlikely to matter; at least one is finite. */
export const logitsArbitrary = fc
  .oneof(
    fc.array(spread, { minLength: 1, maxLength: 50 }),
    fc.array(tied, { minLength: 1, maxLength: 50 }),
    fc.array(fc.oneof(spread, tied, banned, remote), { minLength: 1, maxLength: 50 }),
  )
  .filter((logits) => logits.some(Number.isFinite))
  .map((logits) => Float32Array.from(logits));

// Thousandths rather than any double: of the doubles from 0 to 1 nearly all are next to 0.
const thousandths = (min: number, max: number) => fc.integer({ min, max }).map((n) => n / 1000);
const share = fc.oneof(fc.constantFrom(0.1, 0.25, 0.5, 0.9, 1), thousandths(1, 999));

export const filtersArbitrary = fc.record({
  temperature: fc.oneof(fc.constantFrom(0.01, 1, 2), thousandths(100, 9000)),
  topK: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 60 })),
  typicalP: share,
  topP: fc.oneof(fc.constant(0), share),
  minP: fc.oneof(fc.constantFrom(0, 1), thousandths(1, 999)),
});

/** Roughly normal logits, the same for the same seed. */
export function normalLogits(vocabSize: number, seed: bigint, deviation: number): Float32Array {
  return Float32Array.from({ length: vocabSize }, (_, id) => {
    let sum = -6;
    for (let part = 0; part < 12; part++) sum += uniform(seed, id, part);
    return sum * deviation;
  });
}
