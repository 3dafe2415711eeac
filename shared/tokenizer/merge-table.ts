/** Which two pieces merge, into what, and how early: half a million byte-pair merges in flat arrays instead of strings. */

import { TokenizerError } from "../errors.ts";

/** Far above the longest run of taken slots that a half-full table has by chance; only a hostile file gets there. */
const MAX_PROBES = 1024;

/** Seams are kept as bits under a hash of their pair: 128 kB, of which the 28,000 pairs of Gemma's vocabulary take a fortieth. */
const MOST_SEAM_BITS = 2 ** 20;

/** Open addressing over typed arrays: 12 bytes a merge and 8 to 16 for its slots. The rank of a merge is its index. */
export class MergeTable {
  readonly #left: Int32Array;
  readonly #right: Int32Array;
  readonly #merged: Int32Array;
  readonly #slots: Int32Array; // rank + 1, or 0 for a free slot
  readonly #seams: Uint8Array;
  #joinsAnything = false;
  #count = 0;

  constructor(capacity: number) {
    this.#left = new Int32Array(capacity);
    this.#right = new Int32Array(capacity);
    this.#merged = new Int32Array(capacity);
    let slots = 16;
    while (slots < capacity * 2) slots *= 2;
    this.#slots = new Int32Array(slots);
    this.#seams = new Uint8Array(Math.min(MOST_SEAM_BITS, 4 * slots) / 8);
  }

  /** Adds the next merge. The same pair given again replaces its rank, as in Hugging Face's reader. */
  push(left: number, right: number, merged: number): void {
    const rank = this.#count++;
    this.#left[rank] = left;
    this.#right[rank] = right;
    this.#merged[rank] = merged;
    this.#slots[this.#slotOf(left, right)] = rank + 1;
  }

  /** Leaves the next rank unused. */
  skip(): void {
    this.#left[this.#count++] = -1;
  }

  /** Some merge joins a piece that ends with the character `before` to one that begins with `after`. */
  addSeam(before: number, after: number): void {
    const bit = hashOf(before, after) & (8 * this.#seams.length - 1);
    this.#seams[bit >> 3]! |= 1 << (bit & 7);
  }

  /** Merges join what is no character, too: seams say nothing any more. */
  joinAnything(): void {
    this.#joinsAnything = true;
  }

  /** false: whatever is merged on either side, nothing ever joins these two neighbours in a text. Now and then true without need. */
  mayJoin(before: number, after: number): boolean {
    const bit = hashOf(before, after) & (8 * this.#seams.length - 1);
    return this.#joinsAnything || (this.#seams[bit >> 3]! & (1 << (bit & 7))) !== 0;
  }

  /** The rank of the merge of two pieces, -1 if they don't merge. */
  rankOf(left: number, right: number): number {
    return this.#slots[this.#slotOf(left, right)]! - 1;
  }

  /** The piece that the merge of this rank makes. */
  merged(rank: number): number {
    return this.#merged[rank]!;
  }

  /** The slot that holds the pair, or the free one where it would go. */
  #slotOf(left: number, right: number): number {
    const mask = this.#slots.length - 1;
    let slot = hashOf(left, right) & mask;
    for (let probes = 0; probes < MAX_PROBES; probes++) {
      const rank = this.#slots[slot]! - 1;
      if (rank < 0 || (this.#left[rank] === left && this.#right[rank] === right)) return slot;
      slot = (slot + 1) & mask;
    }
    throw new TokenizerError("tokenizer.json: model.merges are built to collide");
  }
}

/** Spreads pairs of ids over the slots; known to everybody, so a file may be built against it. */
export function hashOf(left: number, right: number): number {
  const mixed = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
  const again = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d);
  return again ^ (again >>> 13);
}
