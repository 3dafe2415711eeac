import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Largest, Tensor } from "../../shared/backend/backend.ts";
import { largest } from "../../shared/backend/reference/largest.ts";
import type { SamplingInput } from "../../shared/sampler/options.ts";
import { parseSampling } from "../../shared/sampler/parse-options.ts";
import { largestNeeded, sampleLargest } from "../../shared/sampler/sample-largest.ts";
import { sample } from "../../shared/sampler/sampler.ts";
import { SampleScratch } from "../../shared/sampler/scratch.ts";
import { atStart, filtersArbitrary, logitsArbitrary, propertyRuns } from "./inputs.ts";

function largestOf(logits: Float32Array, count: number): Largest {
  const ids = [...logits.keys()].sort((a, b) => logits[b] - logits[a] || a - b).slice(0, count);
  return { values: Float32Array.from(ids, (id) => logits[id]), columns: Uint32Array.from(ids) };
}

describe("from the largest logits", () => {
  it("the token is the one that all of them give", () => {
    const property = fc.property(
      logitsArbitrary,
      fc.oneof(filtersArbitrary, fc.constant({ temperature: 0 })),
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.nat({ max: 2 ** 31 - 1 }),
      (logits, filters, seed, outputIndex) => {
        const options = parseSampling({ ...filters, seed });
        const count = largestNeeded(options, logits.length);
        fc.pre(count !== null);
        const context = { ...atStart, outputIndex };
        const found = sampleLargest(largestOf(logits, count), options, context, new SampleScratch(count));
        expect(found).toStrictEqual(sample(logits, options, context));
      },
    );
    fc.assert(property, propertyRuns);
  });

  it("it isn't chosen where other logits could change it", () => {
    const needed = (input: SamplingInput) => largestNeeded(parseSampling(input), 256_000);
    expect(needed({ temperature: 0 })).toBe(1);
    expect(needed({ topK: 40, topP: 0.9 })).toBe(40);
    for (const more of [
      { frequencyPenalty: 0.1 },
      { presencePenalty: -1 },
      { repetitionPenalty: 1.1 },
      { logprobs: true },
    ])
      expect(needed({ temperature: 0, ...more })).toBeNull();
    expect(needed({ topK: 40, logitBias: { 7: 1 } })).toBeNull();
    expect(needed({ topK: 65 })).toBeNull();
    expect(needed({ topP: 0.9 })).toBeNull();
  });

  it("what is no number is refused, as among all of them", async () => {
    const greedy = parseSampling({ temperature: 0 });
    for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const logits = Float32Array.of(1, wrong, 3);
      expect(() => sample(logits, greedy, atStart)).toThrow("it must be finite or -Infinity");
      const found = await largest({ rows: 1, columns: 3, data: logits } as Tensor, 1);
      expect(() => sampleLargest(found, greedy, atStart, new SampleScratch(1))).toThrow(
        "a logit is NaN or Infinity, all must be finite or -Infinity",
      );
    }
  });

  it("tokens that are banned are none", () => {
    const few = { values: Float32Array.of(2, Number.NEGATIVE_INFINITY), columns: Uint32Array.of(7, 0) };
    for (let seed = 0; seed < 20; seed++)
      expect(sampleLargest(few, parseSampling({ topK: 2, seed }), atStart, new SampleScratch(2)).token).toBe(7);
    const none = { values: Float32Array.of(Number.NEGATIVE_INFINITY), columns: Uint32Array.of(0) };
    expect(() => sampleLargest(none, parseSampling({ temperature: 0 }), atStart, new SampleScratch(1))).toThrow(
      "no token can be sampled",
    );
  });
});
