/** Runs many cases through a parser and keeps the figures: how many, how they ended, the slowest, the hungriest. */

import fc from "fast-check";
import type { AnyParser, Parser } from "./parser.ts";

/** A case that keeps a thread this long is a finding, whatever the answer was. */
const SLOW_MS = 250;
/** An isolate has 128 MB for everybody. */
const LARGE_BYTES = 32 * 2 ** 20;

export interface FuzzReport {
  readonly name: string;
  readonly cases: number;
  readonly accepted: number;
  readonly refused: number;
  readonly seconds: number;
  /** Of processor time: others may keep the machine busy. */
  readonly slowestMs: number;
  /** The largest growth of heap and buffers during one case. What the collector takes meanwhile hides some. */
  readonly growthBytes: number;
  /** null: nothing was found. Else the smallest input that shows it, and what it shows. */
  readonly finding: string | null;
}

/** What is wrong with a report: what was found, and what a case cost beyond the bounds. */
export function findingsOf({ finding, slowestMs, growthBytes }: FuzzReport): string[] {
  const growth = (growthBytes / 2 ** 20).toFixed(1);
  return [
    ...(finding === null ? [] : [finding]),
    ...(slowestMs > SLOW_MS ? [`a case took ${slowestMs.toFixed(0)} ms, more than ${SLOW_MS}`] : []),
    ...(growthBytes > LARGE_BYTES ? [`a case took ${growth} MiB, more than ${LARGE_BYTES / 2 ** 20}`] : []),
  ];
}

export function fuzz(
  parser: AnyParser,
  options: { readonly cases: number; readonly seed: number },
): Promise<FuzzReport> {
  return parser.with((one) => fuzzOne(one, options));
}

async function fuzzOne<Input>(
  parser: Parser<Input>,
  { cases, seed }: { cases: number; seed: number },
): Promise<FuzzReport> {
  const counts = { accepted: 0, refused: 0 };
  let [slowestMs, growthBytes] = [0, 0];
  const start = performance.now();
  const property = fc.asyncProperty(parser.inputs, async (input) => {
    const [usedBefore, before] = [usedBytes(), cpuMs()];
    counts[await parser.judge(input)]++;
    slowestMs = Math.max(slowestMs, cpuMs() - before);
    growthBytes = Math.max(growthBytes, usedBytes() - usedBefore);
  });
  const result = await fc.check(property, { numRuns: cases, seed });
  return {
    name: parser.name,
    cases: counts.accepted + counts.refused,
    ...counts,
    seconds: (performance.now() - start) / 1000,
    slowestMs,
    growthBytes,
    finding: result.failed ? describe(result) : null,
  };
}

function cpuMs(): number {
  // Of this thread where Node can tell (since 23.9): compilers and collectors have threads of their own.
  const { user, system } = process.threadCpuUsage?.() ?? process.cpuUsage();
  return (user + system) / 1000;
}

function usedBytes(): number {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

function describe<Input>({ counterexample, errorInstance, seed, counterexamplePath }: fc.RunDetails<[Input]>): string {
  const error = errorInstance instanceof Error ? (errorInstance.stack ?? errorInstance.message) : String(errorInstance);
  return `seed ${seed}, path ${counterexamplePath}: ${fc.stringify(counterexample).slice(0, 1500)}\n${error.slice(0, 3000)}`;
}
