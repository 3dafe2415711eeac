import { expect, it } from "vitest";
import { expOf } from "../../shared/sampler/exp.ts";

it("agrees with Math.exp to 2⁻⁵¹ all over its range", () => {
  let worst = { error: 0, x: 0 };
  for (let x = 0; x >= -40; x -= 0.0001) {
    const error = Math.abs(expOf(x) / Math.exp(x) - 1);
    if (error > worst.error) worst = { error, x };
  }
  expect(worst.error, `at ${worst.x}`).toBeLessThan(2 ** -51);
});

it("is exactly 1 at 0", () => {
  expect(expOf(0)).toBe(1);
  expect(expOf(-0)).toBe(1);
});
