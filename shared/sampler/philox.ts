/** Where a draw's randomness comes from: Philox4x32-10, a counter-based generator, so there is no state to save.
 *  Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). */

const ROUNDS = 10;
const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const KEY_STEP_0 = 0x9e3779b9; // 2³² / golden ratio
const KEY_STEP_1 = 0xbb67ae85; // 2³² · (√3 − 1)

export type Words4 = readonly [number, number, number, number];

/** Four random 32-bit words for a 128-bit counter under a 64-bit key; words go lowest first, as in Random123. */
export function philox4x32(counter: Words4, key: readonly [number, number]): Words4 {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0);
    const high1 = multiplyHigh(MULTIPLIER_1, c2);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1 >>> 0;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0 >>> 0;
    k0 = (k0 + KEY_STEP_0) >>> 0;
    k1 = (k1 + KEY_STEP_1) >>> 0;
  }
  return [c0, c1, c2, c3];
}

/** A uniform number in [0, 1), a multiple of 2⁻⁵³, for one output token of one choice.
 *  The counter is (outputIndex, choice, 0, 0), both below 2³²; the key is the seed, taken modulo 2⁶⁴. */
export function uniform(seed: bigint, outputIndex: number, choice: number): number {
  const low = Number(BigInt.asUintN(32, seed));
  const high = Number(BigInt.asUintN(32, seed >> 32n));
  const [first, second] = philox4x32([outputIndex, choice, 0, 0], [low, high]);
  return ((first >>> 5) * 2 ** 26 + (second >>> 6)) / 2 ** 53; // 27 bits, then 26
}

/** The upper 32 bits of a · b; `a` is cut in halves, so that no product exceeds 2⁴⁸ and all are exact in f64. */
function multiplyHigh(a: number, b: number): number {
  const upper = (a >>> 16) * b;
  const lower = (a & 0xffff) * b;
  return Math.floor((upper + Math.floor(lower / 2 ** 16)) / 2 ** 16);
}
