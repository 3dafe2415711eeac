import { describe, expect, it } from "vitest";
import { OptionError } from "../../shared/errors.ts";
import { defaultSampling, type SamplingInput } from "../../shared/sampler/options.ts";
import { parseSampling } from "../../shared/sampler/parse-options.ts";

describe("parseSampling", () => {
  it("fills in neutral defaults", () => {
    expect(parseSampling()).toEqual(defaultSampling);
    expect(parseSampling({})).toEqual(defaultSampling);
    expect(parseSampling({ topK: undefined } as unknown as SamplingInput)).toEqual(defaultSampling);
  });

  it("keeps what is given, and accepts its own result", () => {
    const options = parseSampling({ temperature: 0.7, topK: 40, seed: 5, logprobs: true, topLogprobs: 3 });
    expect(options).toEqual({
      ...defaultSampling,
      temperature: 0.7,
      topK: 40,
      seed: 5n,
      logprobs: true,
      topLogprobs: 3,
    });
    expect(parseSampling(options)).toEqual(options);
  });

  it("takes seeds modulo 2⁶⁴", () => {
    expect(parseSampling({ seed: -1 }).seed).toBe(2n ** 64n - 1n);
    expect(parseSampling({ seed: -(2n ** 63n) }).seed).toBe(2n ** 63n);
    expect(parseSampling({ seed: 2n ** 64n - 1n }).seed).toBe(2n ** 64n - 1n);
  });

  it("reads biases from JSON's string keys, and copies a Map", () => {
    expect(parseSampling({ logitBias: { "0": 1, "50256": -100 } }).logitBias).toEqual(
      new Map([
        [0, 1],
        [50256, -100],
      ]),
    );
    const given = new Map([[3, 1.5]]);
    const { logitBias } = parseSampling({ logitBias: given });
    given.set(3, 99);
    expect(logitBias.get(3)).toBe(1.5);
  });

  it.each([
    { temperature: 0 },
    { temperature: 1e6 },
    { topK: 0 },
    { topK: 1_000_000 },
    { typicalP: 1e-9 },
    { topP: 0 },
    { minP: 1 },
    { repetitionPenalty: 0.01 },
    { repetitionPenalty: 100 },
    { presencePenalty: -2 },
    { frequencyPenalty: 2 },
    { logitBias: { "1": 100 } },
    { logprobs: true, topLogprobs: 20 },
  ] satisfies SamplingInput[])("accepts %o", (input) => {
    expect(parseSampling(input)).toMatchObject(JSON.parse(JSON.stringify({ ...input, logitBias: undefined })));
  });

  it.each([
    ["temperature", -0.1, "temperature must be a finite number, 0 or more, found -0.1"],
    ["temperature", Number.NaN, "temperature must be a finite number, 0 or more, found NaN"],
    ["temperature", Infinity, "temperature must be a finite number, 0 or more, found Infinity"],
    ["temperature", "1", 'temperature must be a finite number, 0 or more, found "1"'],
    ["temperature", null, "temperature must be a finite number, 0 or more, found null"],
    ["topK", -1, "topK must be an integer, 0 or more, found -1"],
    ["topK", 1.5, "topK must be an integer, 0 or more, found 1.5"],
    ["topK", 2 ** 53, "topK must be an integer, 0 or more, found 9007199254740992"],
    ["topK", 4n, "topK must be an integer, 0 or more, found 4n"],
    ["topK", [], "topK must be an integer, 0 or more, found an array"],
    ["typicalP", 0, "typicalP must be a number above 0 and at most 1, found 0"],
    ["typicalP", Number.NaN, "typicalP must be a number above 0 and at most 1, found NaN"],
    ["topP", 1.01, "topP must be a number from 0 to 1, found 1.01"],
    ["topP", Number.NaN, "topP must be a number from 0 to 1, found NaN"],
    ["minP", -Infinity, "minP must be a number from 0 to 1, found -Infinity"],
    ["repetitionPenalty", 0, "repetitionPenalty must be a number from 0.01 to 100, found 0"],
    ["repetitionPenalty", Infinity, "repetitionPenalty must be a number from 0.01 to 100, found Infinity"],
    ["presencePenalty", 2.1, "presencePenalty must be a number from -2 to 2, found 2.1"],
    ["frequencyPenalty", -3, "frequencyPenalty must be a number from -2 to 2, found -3"],
    ["seed", 0.5, "seed must be a safe integer or a bigint of 64 bits, found 0.5"],
    ["seed", 2 ** 53, "seed must be a safe integer or a bigint of 64 bits, found 9007199254740992"],
    ["seed", 2n ** 64n, "seed must be a safe integer or a bigint of 64 bits, found 18446744073709551616n"],
    ["seed", -(2n ** 63n) - 1n, "seed must be a safe integer or a bigint of 64 bits, found -9223372036854775809n"],
    ["seed", Number.NaN, "seed must be a safe integer or a bigint of 64 bits, found NaN"],
    ["logprobs", 1, "logprobs must be true or false, found 1"],
    ["topLogprobs", 5, "topLogprobs is 5, which needs logprobs to be true"],
    ["topLogprobs", 21, "topLogprobs must be an integer from 0 to 20, found 21"],
    ["logitBias", [1, 2], "logitBias must map token ids to biases, found an array"],
    ["logitBias", null, "logitBias must map token ids to biases, found null"],
    ["logitBias", { a: 1 }, 'logitBias must have token ids (integers from 0) as keys, found "a"'],
    ["logitBias", { "": 1 }, 'logitBias must have token ids (integers from 0) as keys, found ""'],
    ["logitBias", { "-1": 1 }, 'logitBias must have token ids (integers from 0) as keys, found "-1"'],
    ["logitBias", { "1e3": 1 }, 'logitBias must have token ids (integers from 0) as keys, found "1e3"'],
    ["logitBias", new Map([[1.5, 1]]), "logitBias must have token ids (integers from 0) as keys, found 1.5"],
    ["logitBias", { "7": 101 }, "logitBias of token 7 must be a number from -100 to 100, found 101"],
    ["logitBias", { "7": "5" }, 'logitBias of token 7 must be a number from -100 to 100, found "5"'],
    ["logitBias", new Map([[7, Number.NaN]]), "logitBias of token 7 must be a number from -100 to 100, found NaN"],
  ])("refuses %s %o", (param, value, message) => {
    expectOptionError(() => parseSampling({ [param]: value } as SamplingInput), param, message);
  });

  it("refuses options it doesn't know", () => {
    expectOptionError(
      () => parseSampling({ top_p: 0.5 } as SamplingInput),
      "top_p",
      "top_p is not a sampling option; the options are repetitionPenalty, presencePenalty, frequencyPenalty, " +
        "logitBias, temperature, topK, typicalP, topP, minP, seed, logprobs, topLogprobs",
    );
    expect(() => parseSampling(JSON.parse('{"__proto__": {}}'))).toThrow("__proto__ is not a sampling option");
  });

  it.each([[null], [[]], ["x"], [3]])("refuses %o instead of options", (input) => {
    expect(() => parseSampling(input as unknown as SamplingInput)).toThrow("the sampling options must be an object");
  });

  it("checks biased tokens against a vocabulary it is told", () => {
    expect(parseSampling({ logitBias: { "9": 1 } }, 10).logitBias.get(9)).toBe(1);
    expectOptionError(
      () => parseSampling({ logitBias: { "10": 1 } }, 10),
      "logitBias",
      "logitBias names token 10, the vocabulary has 10 tokens",
    );
  });
});

function expectOptionError(act: () => unknown, param: string, message: string): void {
  let error: unknown;
  try {
    act();
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(OptionError);
  expect(error).toMatchObject({ param, message });
}
