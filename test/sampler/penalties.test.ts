import { describe, expect, it } from "vitest";
import { countToken, countTokens, type SampleContext } from "../../shared/sampler/context.ts";
import type { SamplingInput } from "../../shared/sampler/options.ts";
import { parseSampling } from "../../shared/sampler/parse-options.ts";
import { adjustLogits } from "../../shared/sampler/penalties.ts";
import { atStart } from "./inputs.ts";

function adjusted(logits: number[], options: SamplingInput, context: Partial<SampleContext> = {}): number[] {
  const copy = Float64Array.from(logits);
  adjustLogits(copy, parseSampling(options), { ...atStart, ...context });
  return Array.from(copy);
}

describe("repetition penalty", () => {
  it("divides positive logits and multiplies others, once however often a token occurs", () => {
    const history = [0, 1, 1, 1, 2, 3];
    expect(adjusted([4, -4, 0, -Infinity, 4], { repetitionPenalty: 2 }, { history })).toEqual([2, -8, 0, -Infinity, 4]);
  });

  it("looks at the last 64 tokens", () => {
    const history = [0, 1, ...new Array<number>(63).fill(2)];
    expect(adjusted([8, 8, 8], { repetitionPenalty: 2 }, { history })).toEqual([8, 4, 4]);
    expect(adjusted([8, 8, 8], { repetitionPenalty: 2 }, { history: Int32Array.from(history) })).toEqual([8, 4, 4]);
  });
});

describe("presence and frequency penalties", () => {
  const outputCounts = new Map([
    [0, 1],
    [1, 3],
    [2, 0],
  ]);

  it("subtract presence once, and frequency as often as a token occurs", () => {
    expect(adjusted([1, 1, 1, 1], { presencePenalty: 0.5 }, { outputCounts })).toEqual([0.5, 0.5, 1, 1]);
    expect(adjusted([1, 1, 1, 1], { frequencyPenalty: 0.5 }, { outputCounts })).toEqual([0.5, -0.5, 1, 1]);
    expect(adjusted([1, 1, 1, 1], { presencePenalty: -2, frequencyPenalty: 1 }, { outputCounts })).toEqual([
      2, 0, 1, 1,
    ]);
  });

  it("don't look at the prompt", () => {
    expect(adjusted([1, 1], { presencePenalty: 2, frequencyPenalty: 2 }, { history: [0, 1] })).toEqual([1, 1]);
  });
});

describe("logit bias", () => {
  it("is added, and doesn't bring a banned token back", () => {
    expect(adjusted([1, 2, -Infinity], { logitBias: { "0": -100, "2": 100 } })).toEqual([-99, 2, -Infinity]);
  });
});

it("applies repetition first, then presence and frequency, then biases", () => {
  const options = { repetitionPenalty: 2, presencePenalty: 1, frequencyPenalty: 0.25, logitBias: { "0": 10 } };
  // 4 / 2 = 2, then 2 − 2 · 0.25 − 1 = 0.5, then + 10
  expect(adjusted([4], options, { history: [0, 0], outputCounts: new Map([[0, 2]]) })).toEqual([10.5]);
});

it.each([
  [{ repetitionPenalty: 2 }, { history: [5] }, "history has token 5, the logits are for tokens 0 to 1"],
  [{ repetitionPenalty: 2 }, { history: [-1] }, "history has token -1"],
  [{ presencePenalty: 1 }, { outputCounts: new Map([[2, 1]]) }, "outputCounts has token 2"],
  [{ logitBias: { "2": 1 } }, {}, "logitBias names token 2, the vocabulary has 2 tokens"],
])("refuses tokens outside the vocabulary: %o %o", (options, context, message) => {
  expect(() => adjusted([1, 1], options, context)).toThrow(message);
});

it("counts output tokens one by one as all at once", () => {
  const counts = new Map<number, number>();
  for (const token of [3, 1, 3, 3]) countToken(counts, token);
  expect(counts).toEqual(countTokens([3, 1, 3, 3]));
  expect(counts).toEqual(
    new Map([
      [3, 3],
      [1, 1],
    ]),
  );
});
