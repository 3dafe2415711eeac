/** Runs the tests of a bench in turns, sample by sample, so that a noisy moment hits all of them alike. */

export interface Arm {
  readonly name: string;
  /** What one sample does; its time counts. */
  run(): void | Promise<void>;
  /** Brings back what the sample starts from; its time does not count. */
  prepare?(): void | Promise<void>;
}

export interface Sampled {
  readonly name: string;
  readonly seconds: readonly number[];
}

/** `rounds` samples of every arm after one that does not count. */
export async function interleave(
  arms: readonly Arm[],
  rounds: number,
  onSample?: (done: number, total: number) => unknown,
): Promise<Sampled[]> {
  const samples = arms.map(({ name }) => ({ name, seconds: [] as number[] }));
  for (let round = -1; round < rounds; round++) {
    for (const [at, arm] of arms.entries()) {
      await arm.prepare?.();
      const start = performance.now();
      await arm.run();
      if (round >= 0) samples[at].seconds.push((performance.now() - start) / 1000);
      await onSample?.((round + 1) * arms.length + at + 1, (rounds + 1) * arms.length);
    }
  }
  return samples;
}

export interface Rate {
  readonly best: number;
  readonly median: number;
  readonly sd: number;
}

/** `amount` per second, over the samples. */
export function rate(amount: number, seconds: readonly number[]): Rate {
  const rates = seconds.map((s) => amount / s).sort((a, b) => a - b);
  const mean = rates.reduce((a, b) => a + b, 0) / rates.length;
  return {
    best: rates[rates.length - 1],
    median: median(rates),
    sd: Math.sqrt(rates.reduce((sum, r) => sum + (r - mean) ** 2, 0) / Math.max(1, rates.length - 1)),
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return (sorted[Math.ceil(middle) - 1] + sorted[Math.floor(middle)]) / 2;
}
