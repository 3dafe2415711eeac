/** How far apart are two arrays, and where?  The largest absolute difference; NaN counts as infinitely far. */

export interface Difference {
  size: number;
  index: number;
  actual: number;
  expected: number;
}

export function worstDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): Difference {
  if (actual.length !== expected.length) throw new Error(`${actual.length} values, expected ${expected.length}`);
  let worst: Difference = { size: 0, index: -1, actual: NaN, expected: NaN };
  for (let index = 0; index < actual.length; index++) {
    const [a, b] = [actual[index]!, expected[index]!];
    const size = Object.is(a, b) ? 0 : Math.abs(a - b);
    if (!(size <= worst.size)) worst = { size: Number.isNaN(size) ? Infinity : size, index, actual: a, expected: b };
  }
  return worst;
}

/** Throws, naming the place and both values, unless every value is within `tolerance`. */
export function assertClose(
  what: string,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
): void {
  const worst = worstDifference(actual, expected);
  if (worst.size <= tolerance) return;
  const place = `${what}[${worst.index}] is ${worst.actual}, expected ${worst.expected}`;
  throw new Error(`${place}: ${worst.size} apart, tolerance ${tolerance}`);
}

/** Rows one after another. */
export function flat(rows: readonly Float64Array[]): Float64Array {
  return Float64Array.from(rows.flatMap((row) => [...row]));
}
