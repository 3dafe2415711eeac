/** Byte-pair encoding of one word: its characters, merged in the order of the merge list, leftmost first among equals. */

import type { MergeTable } from "./merge-table.ts";
import { fallbackPiece, textBytes } from "./piece-bytes.ts";

export interface BpeModel {
  /** Pieces that text may spell: no control tokens, no byte pieces. */
  readonly idOf: (piece: string) => number | undefined;
  readonly merges: MergeTable;
  /** Ids of `<0x00>` … `<0xFF>`, for characters without a piece; `undefined` where the vocabulary has no such byte. */
  readonly byteIds: readonly (number | undefined)[] | undefined;
  /** For what can't be spelled at all; without it such a character is dropped, as in Hugging Face's. */
  readonly unknownId: number | undefined;
  /** One unknown token for a run of unknown characters. */
  readonly fusesUnknown: boolean;
  /** A word that is a piece is that piece, whatever the merges say (Llama 3). */
  readonly prefersWholeWords: boolean;
}

/** Appends the ids of `word` to `out`. */
export function encodeWord(model: BpeModel, word: string, out: number[]): void {
  if (model.prefersWholeWords) {
    const whole = model.idOf(word);
    if (whole !== undefined) {
      out.push(whole);
      return;
    }
  }
  const ids = spell(model, word);
  if (ids.length > 1) mergeAll(model.merges, ids, out);
  else if (ids.length === 1) out.push(ids[0]!);
}

/** One id per character, or per byte of a character without a piece. */
function spell(model: BpeModel, word: string): number[] {
  const ids: number[] = [];
  let isInUnknown = false;
  for (const char of word) {
    const id = model.idOf(char);
    if (id !== undefined) {
      ids.push(id);
      isInUnknown = false;
    } else if (pushBytes(model, char, ids)) {
      isInUnknown = false;
    } else if (model.unknownId !== undefined) {
      if (!(isInUnknown && model.fusesUnknown)) ids.push(model.unknownId);
      isInUnknown = true;
    }
  }
  return ids;
}

function pushBytes(model: BpeModel, char: string, ids: number[]): boolean {
  if (model.byteIds === undefined) return false;
  const bytes: number[] = [];
  for (const byte of textBytes(char)) {
    const id = model.byteIds[byte];
    if (id === undefined) return false;
    bytes.push(id);
  }
  ids.push(...bytes);
  return true;
}

/** The byte pieces of a vocabulary, if it has any. */
export function byteIdsOf(idOf: (piece: string) => number | undefined): (number | undefined)[] | undefined {
  const ids = Array.from({ length: 256 }, (_, byte) => idOf(fallbackPiece(byte)));
  return ids.some((id) => id !== undefined) ? ids : undefined;
}

// A queue's key is rank · 2³¹ + position: the earliest merge first, then the leftmost. Ranks stay below 2²², so keys are exact.
const RANK = 2 ** 31;

/** Applies merges until none is left; n log n in the length of the word. `ids` is used up as the scratch list. */
function mergeAll(merges: MergeTable, ids: number[], out: number[]): void {
  const n = ids.length;
  const prev = new Int32Array(n);
  const next = new Int32Array(n);
  const queue: number[] = [];
  const offer = (left: number) => {
    const right = next[left]!;
    if (right === n) return;
    const rank = merges.rankOf(ids[left]!, ids[right]!);
    if (rank >= 0) push(queue, rank * RANK + left);
  };
  for (let i = 0; i < n; i++) {
    prev[i] = i - 1;
    next[i] = i + 1;
  }
  for (let i = 0; i < n - 1; i++) offer(i);

  while (queue.length > 0) {
    const key = pop(queue);
    const left = key % RANK;
    const rank = (key - left) / RANK;
    const right = next[left]!;
    // An entry is stale when either side has merged into something else since.
    if (ids[left]! < 0 || right === n || merges.rankOf(ids[left]!, ids[right]!) !== rank) continue;
    ids[left] = merges.merged(rank);
    ids[right] = -1;
    next[left] = next[right]!;
    if (next[left]! < n) prev[next[left]!] = left;
    offer(left);
    if (prev[left]! >= 0) offer(prev[left]!);
  }
  for (let i = 0; i < n; i = next[i]!) out.push(ids[i]!);
}

/** A binary heap with the smallest key first. */
function push(heap: number[], key: number): void {
  let at = heap.length;
  heap.push(key);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (heap[parent]! <= key) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = key;
}

function pop(heap: number[]): number {
  const first = heap[0]!;
  const key = heap.pop()!;
  const length = heap.length;
  if (length === 0) return first;
  let at = 0;
  for (let child = 1; child < length; child = 2 * at + 1) {
    if (child + 1 < length && heap[child + 1]! < heap[child]!) child++;
    if (heap[child]! >= key) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = key;
  return first;
}
