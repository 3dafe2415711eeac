/** Random bytes in bulk: a stretch is drawn once and repeated, since no kernel looks back that far. */

const STRETCH_BYTES = 2 ** 20;

/** The same for the same seed. */
export function randomStretch(seed: number, length = STRETCH_BYTES): Uint8Array<ArrayBuffer> {
  let x = (seed * 2_654_435_761) >>> 0 || 1;
  return Uint8Array.from({ length }, () => {
    x = (Math.imul(x, 1_664_525) + 1_013_904_223) >>> 0;
    return x >>> 24;
  });
}

/** Fills `bytes` with copies of `stretch`. */
export function fillWith(bytes: Uint8Array, stretch: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += stretch.length)
    bytes.set(stretch.subarray(0, Math.min(stretch.length, bytes.length - at)), at);
}

/** Token ids below `vocabSize`, the same every time. */
export function randomTokens(count: number, vocabSize: number): number[] {
  const bytes = randomStretch(1, 4 * count);
  const words = new Uint32Array(bytes.buffer);
  return Array.from(words, (word) => word % vocabSize);
}
