import fc from "fast-check";
import { expect, it } from "vitest";
import { candidatesOf } from "../../shared/sampler/candidates.ts";
import { draw } from "../../shared/sampler/draw.ts";
import { defaultSampling } from "../../shared/sampler/options.ts";
import { SampleScratch } from "../../shared/sampler/scratch.ts";
import { logitsArbitrary, propertyRuns } from "./inputs.ts";
import { naiveCandidates, naiveDraw } from "./naive.ts";

function drawn(logits: ArrayLike<number>, fraction: number): number {
  const scratch = new SampleScratch(logits.length);
  scratch.logits.set(logits);
  return draw(candidatesOf(scratch, Math.max(...Array.from(logits)), 1, 0), fraction);
}

const justBelow = (fraction: number) => fraction - 2 ** -53;

it.each([
  [0, 2],
  [justBelow(0.5), 2],
  [0.5, 0],
  [justBelow(0.75), 0],
  [0.75, 3],
  [justBelow(1), 3],
])("finds the place of %d among a half and two quarters", (fraction, token) => {
  expect(drawn([Math.log(1 / 4), -Infinity, Math.log(1 / 2), Math.log(1 / 4)], fraction)).toBe(token);
});

it("shares the interval equally among equals, lower ids first", () => {
  for (let id = 0; id < 64; id++) {
    expect(drawn(new Array(64).fill(3), id / 64)).toBe(id);
    expect(drawn(new Array(64).fill(3), justBelow((id + 1) / 64))).toBe(id);
  }
});

it("agrees with sorting and adding up, at any place", () => {
  const fraction = fc.bigInt({ min: 0n, max: 2n ** 53n - 1n }).map((bits) => Number(bits) / 2 ** 53);
  const property = fc.property(logitsArbitrary, fraction, (logits, fraction) => {
    expect(drawn(logits, fraction)).toBe(naiveDraw(naiveCandidates(logits, defaultSampling), fraction));
  });
  fc.assert(property, propertyRuns);
});
