/** Which checkpoints are kept? The numbers of the policy, in one place. */

/** The newest ones: where branching and retrying mostly happens. */
export const NEWEST_KEPT = 4;

/** Unlisted conversations (`store` absent) are gone after a day, stored responses after thirty, as OpenAI keeps them. */
export const UNLISTED_SECONDS = 24 * 3600;
export const STORED_SECONDS = 30 * 24 * 3600;

export interface Kept {
  readonly node: number;
  readonly position: number;
  /** Can't be rebuilt (an imported state without its log): never dropped. */
  readonly pinned: boolean;
}

/**
 * The nodes whose checkpoints may go: neither pinned nor among the newest, nor the newest one whose distance in nodes to
 * the newest of all has its power of two. So n nodes keep about log₂ n checkpoints, and going back k nodes means
 * replaying at most about k of them.
 */
export function droppable(checkpoints: readonly Kept[]): number[] {
  const newestFirst = [...checkpoints].sort((a, b) => b.node - a.node);
  const newest = newestFirst[0]?.node ?? 0;
  const taken = new Set<number>();
  const dropped: number[] = [];
  for (const [rank, { node, pinned }] of newestFirst.entries()) {
    if (pinned || rank < NEWEST_KEPT) continue;
    const octave = Math.floor(Math.log2(newest - node));
    if (taken.has(octave)) dropped.push(node);
    taken.add(octave);
  }
  return dropped;
}
