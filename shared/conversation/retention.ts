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
 * The nodes whose checkpoints may go: neither pinned nor among the newest, nor a multiple of the power of two that belongs
 * to their distance from the newest of all. Powers of two nest, so what a later call keeps, no earlier one dropped: about
 * two stay for each doubling of the distance, and going back k nodes means replaying at most about k of them.
 */
export function droppable(checkpoints: readonly Kept[]): number[] {
  const newestFirst = [...checkpoints].sort((a, b) => b.node - a.node);
  const newest = newestFirst[0]?.node ?? 0;
  return newestFirst
    .filter(({ node, pinned }, rank) => !pinned && rank >= NEWEST_KEPT && node % spacing(newest - node) !== 0)
    .map(({ node }) => node);
}

const spacing = (distance: number): number => 2 ** Math.max(0, Math.floor(Math.log2(distance)) - 1);
