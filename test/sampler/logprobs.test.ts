import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { logNormalizer, mostLikely } from "../../shared/sampler/logprobs.ts";
import { parseSampling } from "../../shared/sampler/parse-options.ts";
import { sample } from "../../shared/sampler/sampler.ts";
import { atStart, logitsArbitrary, normalLogits, propertyRuns } from "./inputs.ts";

describe("mostLikely", () => {
  it("is sorted, starts at the most likely, and sums to 1 over the vocabulary", () => {
    const property = fc.property(logitsArbitrary, (logits) => {
      const list = mostLikely(logits, logits.length, logNormalizer(logits));
      const sum = list.reduce((total, { logprob }) => total + Math.exp(logprob), 0);
      expect(sum).toBeCloseTo(1, 12);
      const sorted = Array.from(logits.keys())
        .filter((id) => logits[id]! > -Infinity)
        .sort((a, b) => logits[b]! - logits[a]! || a - b);
      expect(list.map(({ token }) => token)).toEqual(sorted);
    });
    fc.assert(property, propertyRuns);
  });

  it("is the beginning of the longer list", () => {
    const property = fc.property(logitsArbitrary, fc.nat({ max: 20 }), (logits, count) => {
      const normalizer = logNormalizer(logits);
      const all = mostLikely(logits, logits.length, normalizer);
      expect(mostLikely(logits, count, normalizer)).toEqual(all.slice(0, count));
    });
    fc.assert(property, propertyRuns);
  });

  it("finds the 20 of a large vocabulary", () => {
    const logits = normalLogits(20_000, 8n, 2);
    const sorted = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b);
    expect(mostLikely(logits, 20, 0).map(({ token }) => token)).toEqual(sorted.slice(0, 20));
  });
});

describe("sample's log-probabilities", () => {
  const logits = Float32Array.from([0, Math.log(3), -Infinity]);

  it("are those of the model, before biases, penalties, temperature and filters", () => {
    const options = parseSampling({
      temperature: 0.5,
      topK: 1,
      logitBias: { "0": 100 },
      repetitionPenalty: 1.5,
      logprobs: true,
      topLogprobs: 3,
    });
    const { token, logprob, topLogprobs } = sample(logits, options, { ...atStart, history: [1] });
    expect(token).toBe(0);
    expect(logprob).toBeCloseTo(Math.log(1 / 4), 6);
    expect(topLogprobs).toEqual([
      { token: 1, logprob: expect.closeTo(Math.log(3 / 4), 6) },
      { token: 0, logprob: expect.closeTo(Math.log(1 / 4), 6) },
    ]);
  });

  it("come with an empty list when only the token's own is asked for, and not at all otherwise", () => {
    expect(sample(logits, parseSampling({ temperature: 0, logprobs: true }), atStart)).toEqual({
      token: 1,
      logprob: expect.closeTo(Math.log(3 / 4), 6),
      topLogprobs: [],
    });
    expect(sample(logits, parseSampling({ temperature: 0 }), atStart)).toEqual({ token: 1 });
  });
});
