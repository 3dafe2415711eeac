/** What is e to the power of x, the same in every JavaScript engine? `Math.exp` may differ in its last bit between
 *  engines, and a reply begun at the edge must go on with the same tokens in a browser. Additions, multiplications and a
 *  table have one result everywhere, and over a whole vocabulary they are faster. */

const LN2_UPPER = 0x162e42fee / 2 ** 33; // ln 2 to 33 bits: k · LN2_UPPER is exact
const LN2_LOWER = 1.9082149292705877e-10; // ln 2 − LN2_UPPER

const powersOfHalf = new Float64Array(64);
for (let k = 0, power = 1; k < powersOfHalf.length; k++, power /= 2) powersOfHalf[k] = power;

/** exp(x) for −40 ≤ x ≤ 0, with a relative error below 2⁻⁵¹ (measured in `test/sampler/exp.test.ts`).
 *  x = r − k · ln 2 with |r| ≤ ½ ln 2, so exp(x) = 2⁻ᵏ · exp(r), and exp(r) is its Taylor polynomial up to r¹³, which
 *  leaves 2⁻⁵⁷; the terms are grouped so that a processor can work on several at once. */
export function expOf(x: number): number {
  const k = Math.floor(0.5 - x * Math.LOG2E);
  const r = x + k * LN2_UPPER + k * LN2_LOWER;
  const r2 = r * r;
  const r4 = r2 * r2;
  const from2 = 1 / 2 + r * (1 / 6) + r2 * (1 / 24 + r * (1 / 120));
  const from6 = 1 / 720 + r * (1 / 5040) + r2 * (1 / 40320 + r * (1 / 362880));
  const from10 = 1 / 3628800 + r * (1 / 39916800) + r2 * (1 / 479001600 + r * (1 / 6227020800));
  return (1 + (r + r2 * (from2 + r4 * (from6 + r4 * from10)))) * powersOfHalf[k]!;
}
