/** Where in a reply the sampler is: what a draw depends on besides the logits and the options. */

export interface SampleContext {
  /** Token ids before this one, oldest first, prompt included. Only the last `REPETITION_WINDOW` are looked at. */
  readonly history: ArrayLike<number>;
  /** How often each token occurs in this output so far, the prompt not included: see `countToken`. */
  readonly outputCounts: OutputCounts;
  /** How many tokens of this output came before; below 2³². Part of the random counter. */
  readonly outputIndex: number;
  /** Which of the n parallel replies this is, from 0 (the default); below 2³². Part of the random counter. */
  readonly choice?: number;
}

/** Token id → how often it occurs. The caller keeps it, so that a step needn't read the whole output again. */
export type OutputCounts = ReadonlyMap<number, number>;

/** How far back the repetition penalty looks, in tokens. */
export const REPETITION_WINDOW = 64;

/** The counts of an output that exists already, for a reply that is taken up again. */
export function countTokens(output: Iterable<number>): Map<number, number> {
  const counts = new Map<number, number>();
  for (const token of output) countToken(counts, token);
  return counts;
}

/** Adds one token to the counts: call it with each token that `sample` returns. */
export function countToken(counts: Map<number, number>, token: number): void {
  counts.set(token, (counts.get(token) ?? 0) + 1);
}
