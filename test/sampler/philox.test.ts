import { describe, expect, it } from "vitest";
import { philox4x32, uniform } from "../../shared/sampler/philox.ts";

const ones = 0xffffffff;

describe("philox4x32", () => {
  it.each([
    { counter: [0, 0, 0, 0], key: [0, 0], words: [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8] },
    { counter: [ones, ones, ones, ones], key: [ones, ones], words: [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd] },
    {
      counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], // the digits of π
      key: [0xa4093822, 0x299f31d0],
      words: [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    },
  ] as const)("gives Random123's known answer for counter $counter", ({ counter, key, words }) => {
    expect(philox4x32(counter, key)).toEqual(words);
  });
});

describe("uniform", () => {
  it("is made of the first 53 bits of the first two words, upper ones first", () => {
    const bits = (BigInt(0x6627e8d5 >>> 5) << 26n) | BigInt(0xe169c58d >>> 6);
    expect(uniform(0n, 0, 0) * 2 ** 53).toBe(Number(bits));
  });

  it("takes the seed's lower word as the key's first, and negative seeds modulo 2⁶⁴", () => {
    const [first, second] = philox4x32([7, 3, 0, 0], [0x9abcdef0, 0x12345678]);
    expect(uniform(0x12345678_9abcdef0n, 7, 3)).toBe(((first >>> 5) * 2 ** 26 + (second >>> 6)) / 2 ** 53);
    expect(uniform(-1n, 7, 3)).toBe(uniform(2n ** 64n - 1n, 7, 3));
  });

  it("differs by seed, output index and choice, and fills [0, 1) evenly", () => {
    const draws = new Set<number>();
    const tenths = new Array<number>(10).fill(0);
    for (const seed of [0n, 1n]) {
      for (let choice = 0; choice < 5; choice++) {
        for (let outputIndex = 0; outputIndex < 2000; outputIndex++) {
          const draw = uniform(seed, outputIndex, choice);
          draws.add(draw);
          tenths[Math.floor(draw * 10)]!++;
        }
      }
    }
    expect(draws.size).toBe(20_000);
    for (const count of tenths) expect(Math.abs(count - 2000)).toBeLessThan(4 * Math.sqrt(20_000 * 0.1 * 0.9));
  });
});
