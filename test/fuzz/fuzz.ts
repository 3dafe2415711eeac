/** Runs many cases through a parser and keeps the figures: how many, how they ended, the slowest, the hungriest. */

import fc from "fast-check";
import { type AnyParser, LARGE_BYTES, type Measured, type Parser } from "./parser.ts";

/** A case that keeps a thread this long is a finding, whatever the answer was. */
const SLOW_MS = 250;

/** An isolate has 128 MB for everybody. */
const GROWTH_BYTES = { small: 32 * 2 ** 20, large: 64 * 2 ** 20 };

/** Of the small or of the large inputs. */
export interface Cost {
  readonly cases: number;
  /** Of processor time: others may keep the machine busy. */
  readonly slowestMs: number;
  /**
   * The largest growth of heap and buffers during one case. With a young generation of 1 MB, as `run.ts` has it, what lived for
   * more than an instant is in there, and little of what did not.
   */
  readonly growthBytes: number;
}

export interface FuzzReport {
  readonly name: string;
  readonly cases: number;
  readonly accepted: number;
  readonly refused: number;
  readonly seconds: number;
  readonly small: Cost;
  readonly large: Cost;
  /** null: nothing was found. Else the smallest input that shows it, and what it shows. */
  readonly finding: string | null;
}

/** What is wrong with a report: what was found, and what a case cost beyond the bounds. */
export function findingsOf({ finding, small, large }: FuzzReport): string[] {
  return [
    ...(finding === null ? [] : [finding]),
    ...excesses("a small case", small, GROWTH_BYTES.small),
    ...excesses("a large case", large, GROWTH_BYTES.large),
  ];
}

function excesses(what: string, { slowestMs, growthBytes }: Cost, mostBytes: number): string[] {
  const [growth, most] = [(growthBytes / 2 ** 20).toFixed(1), mostBytes / 2 ** 20];
  return [
    ...(slowestMs > SLOW_MS ? [`${what} took ${slowestMs.toFixed(0)} ms, more than ${SLOW_MS}`] : []),
    ...(growthBytes > mostBytes ? [`${what} took ${growth} MiB, more than ${most}`] : []),
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
  const costs = { small: new Costs(), large: new Costs() };
  const start = performance.now();
  const property = fc.asyncProperty(parser.inputs, async (input) => {
    const cost = bytesOf(input) < LARGE_BYTES ? costs.small : costs.large;
    cost.cases++;
    let isMeasured = false;
    const measured: Measured = async (parsing) => {
      isMeasured = true;
      const before = now();
      try {
        return await parsing();
      } finally {
        cost.add(before);
      }
    };
    const before = now();
    counts[await parser.judge(input, measured)]++;
    if (!isMeasured) cost.add(before);
  });
  const result = await fc.check(property, { numRuns: cases, seed });
  return {
    name: parser.name,
    cases: counts.accepted + counts.refused,
    ...counts,
    seconds: (performance.now() - start) / 1000,
    small: { ...costs.small },
    large: { ...costs.large },
    finding: result.failed ? describe(result) : null,
  };
}

class Costs implements Cost {
  cases = 0;
  slowestMs = 0;
  growthBytes = 0;

  /** What was spent since then. */
  add(since: Spent): void {
    const { ms, bytes } = now();
    this.slowestMs = Math.max(this.slowestMs, ms - since.ms);
    this.growthBytes = Math.max(this.growthBytes, bytes - since.bytes);
  }
}

interface Spent {
  readonly ms: number;
  readonly bytes: number;
}

const now = (): Spent => ({ bytes: usedBytes(), ms: cpuMs() });

/** About what an input takes, whatever it is made of. */
function bytesOf(input: unknown): number {
  if (typeof input === "string" || input instanceof Uint8Array) return input.length;
  if (typeof input !== "object" || input === null) return 0;
  return Object.values(input).reduce((sum: number, part) => sum + bytesOf(part), 0);
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
