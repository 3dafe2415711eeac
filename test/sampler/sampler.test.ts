import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { SampleContext } from "../../shared/sampler/context.ts";
import { defaultSampling, type SamplingInput } from "../../shared/sampler/options.ts";
import { parseSampling } from "../../shared/sampler/parse-options.ts";
import { uniform } from "../../shared/sampler/philox.ts";
import { sample } from "../../shared/sampler/sampler.ts";
import { SampleScratch } from "../../shared/sampler/scratch.ts";
import { atStart, filtersArbitrary, logitsArbitrary, normalLogits, propertyRuns } from "./inputs.ts";
import { naiveCandidates, naiveDraw } from "./naive.ts";

const contextArbitrary = fc.record({
  seed: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  outputIndex: fc.nat({ max: 2 ** 31 - 1 }),
  choice: fc.nat({ max: 127 }),
});

function tokensOf(logits: Float32Array, input: SamplingInput, count: number, context: Partial<SampleContext> = {}) {
  const options = parseSampling(input);
  const scratch = new SampleScratch(logits.length);
  return Array.from({ length: count }, (_, outputIndex) => {
    return sample(logits, options, { ...atStart, ...context, outputIndex }, scratch).token;
  });
}

describe("greedy", () => {
  it("takes the largest logit, the lowest id among equals", () => {
    expect(tokensOf(Float32Array.of(1, 3, 2, 3), { temperature: 0 }, 1)).toEqual([1]);
    expect(tokensOf(new Float32Array(9), { temperature: 0 }, 1)).toEqual([0]);
    expect(tokensOf(Float32Array.of(-Infinity, -5), { temperature: 0 }, 1)).toEqual([1]);
  });

  it("comes after penalties and biases, and no filter or seed changes it", () => {
    const logits = Float32Array.of(5, 4, 3);
    expect(tokensOf(logits, { temperature: 0, logitBias: { "0": -100 } }, 1)).toEqual([1]);
    expect(tokensOf(logits, { temperature: 0, repetitionPenalty: 2 }, 1, { history: [0] })).toEqual([1]);
    const everything = { temperature: 0, topK: 2, typicalP: 0.1, topP: 0.1, minP: 0.9, seed: 9 };
    expect(tokensOf(logits, everything, 5)).toEqual([0, 0, 0, 0, 0]);
  });

  it("is what ever lower temperatures tend to", () => {
    const logits = Float32Array.of(1, 1.0001, 0.5);
    for (const temperature of [1e-6, 1e-300, 5e-324]) {
      expect(new Set(tokensOf(logits, { temperature }, 50))).toEqual(new Set([1]));
    }
  });
});

describe("the draw", () => {
  it("is the one that sorting the whole vocabulary finds", () => {
    const property = fc.property(
      logitsArbitrary,
      filtersArbitrary,
      contextArbitrary,
      (logits, filters, { seed, ...place }) => {
        const { token } = sample(logits, parseSampling({ ...filters, seed }), { ...atStart, ...place });
        const fraction = uniform(seed, place.outputIndex, place.choice);
        expect(token).toBe(naiveDraw(naiveCandidates(logits, filters), fraction));
      },
    );
    fc.assert(property, { ...propertyRuns, numRuns: 2000 });
  });

  it("is that too in a large vocabulary", () => {
    for (const deviation of [0, 1, 4]) {
      const logits = normalLogits(20_000, 5n, deviation);
      const candidates = naiveCandidates(logits, defaultSampling);
      const expected = Array.from({ length: 20 }, (_, index) => naiveDraw(candidates, uniform(77n, index, 0)));
      expect(tokensOf(logits, { seed: 77 }, 20)).toEqual(expected);
    }
  });

  it.each([
    { input: { temperature: 1 }, probabilities: [0.4, 0.25, 0.15, 0.1, 0.05, 0.05, 0] },
    { input: { temperature: 0.5 }, probabilities: [0.4, 0.25, 0.15, 0.1, 0.05, 0.05, 0].map((p) => p * p) },
    { input: { temperature: 2 }, probabilities: [0.4, 0.25, 0.15, 0.1, 0.05, 0.05, 0].map(Math.sqrt) },
    { input: { topK: 3 }, probabilities: [0.4, 0.25, 0.15, 0, 0, 0, 0] },
    { input: { topP: 0.85 }, probabilities: [0.4, 0.25, 0.15, 0.1, 0, 0, 0] },
  ])("follows the distribution under $input", ({ input, probabilities }) => {
    const logits = Float32Array.from([0.4, 0.25, 0.15, 0.1, 0.05, 0.05, 0], Math.log);
    const draws = 20_000;
    const counts = new Array<number>(probabilities.length).fill(0);
    for (const token of tokensOf(logits, { ...input, seed: 12345 }, draws)) counts[token]!++;
    const sum = probabilities.reduce((a, b) => a + b);
    let chiSquare = 0;
    for (const [id, probability] of probabilities.entries()) {
      const expected = (draws * probability) / sum;
      if (expected === 0) expect(counts[id]).toBe(0);
      else chiSquare += (counts[id]! - expected) ** 2 / expected;
    }
    expect(chiSquare).toBeLessThan(20.5); // exceeded once in a thousand seeds, at 5 degrees of freedom
  });
});

describe("determinism", () => {
  const logits = normalLogits(1000, 1n, 2);

  it("gives the same token for the same inputs, with fresh or used scratch", () => {
    const scratch = new SampleScratch(50);
    const property = fc.property(
      logitsArbitrary,
      filtersArbitrary,
      contextArbitrary,
      (logits, filters, { seed, ...place }) => {
        const padded = new Float32Array(50).fill(-Infinity);
        padded.set(logits);
        const options = parseSampling({ ...filters, seed, logprobs: true, topLogprobs: 5 });
        const context = { ...atStart, ...place };
        expect(sample(padded, options, context, scratch)).toEqual(sample(padded, options, context));
      },
    );
    fc.assert(property, propertyRuns);
  });

  it("draws anew for each output index, choice and seed", () => {
    const tokens = tokensOf(logits, { seed: 1 }, 50);
    expect(new Set(tokens).size).toBeGreaterThan(20);
    expect(tokensOf(logits, { seed: 1 }, 50)).toEqual(tokens);
    expect(tokensOf(logits, { seed: 1 }, 50, { choice: 0 })).toEqual(tokens);
    expect(tokensOf(logits, { seed: 1 }, 50, { choice: 1 })).not.toEqual(tokens);
    expect(tokensOf(logits, { seed: 2 }, 50)).not.toEqual(tokens);
  });

  it("gives a seed the meaning it had when it was first given out", () => {
    expect(tokensOf(logits, { seed: 42 }, 8)).toEqual([356, 685, 165, 989, 575, 455, 577, 846]);
    expect(tokensOf(logits, { seed: 42, temperature: 0.8, topK: 50, topP: 0.9 }, 8)).toEqual([
      166, 751, 2, 432, 446, 446, 874, 446,
    ]);
  });

  it("leaves logits, options and context as they were", () => {
    const property = fc.property(logitsArbitrary, filtersArbitrary, (logits, filters) => {
      const before = logits.slice();
      const history = [0, 0];
      const outputCounts = new Map([[0, 2]]);
      const penalties = { repetitionPenalty: 1.3, presencePenalty: 1, frequencyPenalty: 1, logitBias: { "0": 3 } };
      const options = parseSampling({ ...filters, ...penalties, logprobs: true, topLogprobs: 20 });
      sample(logits, options, { history, outputCounts, outputIndex: 4 });
      expect(logits).toEqual(before);
      expect(history).toEqual([0, 0]);
      expect(outputCounts).toEqual(new Map([[0, 2]]));
    });
    fc.assert(property, propertyRuns);
  });
});

describe("biases at their ends", () => {
  const logits = Float32Array.of(30, -30, 0); // as far apart as a soft cap of 30 lets them be

  it("ban and force", () => {
    expect(tokensOf(logits, { logitBias: { "0": -100 } }, 500)).not.toContain(0);
    expect(new Set(tokensOf(logits, { logitBias: { "1": 100 } }, 500))).toEqual(new Set([1]));
  });
});

describe("what can't be sampled", () => {
  it.each([
    [[1, Number.NaN], "the logit of token 1 is NaN, it must be finite or -Infinity"],
    [[Infinity, 1], "the logit of token 0 is Infinity, it must be finite or -Infinity"],
    [[-Infinity, -Infinity], "no token can be sampled: all 2 logits are -Infinity"],
    [[], "no token can be sampled: all 0 logits are -Infinity"],
  ])("logits %o", (logits, message) => {
    for (const temperature of [0, 1]) {
      expect(() => sample(Float32Array.from(logits), parseSampling({ temperature }), atStart)).toThrow(message);
    }
  });

  it.each([
    [{ outputIndex: -1 }, "outputIndex must be an integer from 0 to 4294967295, found -1"],
    [{ outputIndex: 2 ** 32 }, "outputIndex must be an integer from 0 to 4294967295, found 4294967296"],
    [{ outputIndex: 0.5 }, "outputIndex must be an integer from 0 to 4294967295, found 0.5"],
    [{ choice: -1 }, "choice must be an integer from 0 to 4294967295, found -1"],
    [{ choice: Number.NaN }, "choice must be an integer from 0 to 4294967295, found NaN"],
  ])("context %o", (context, message) => {
    expect(() => sample(Float32Array.of(1), defaultSampling, { ...atStart, ...context })).toThrow(message);
  });

  it("with scratch for another vocabulary", () => {
    const act = () => sample(Float32Array.of(1, 2), defaultSampling, atStart, new SampleScratch(3));
    expect(act).toThrow("there are 2 logits, the scratch is for 3");
  });
});
