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
  const run = new Run(model.merges, out);
  let isInUnknown = false;
  for (const char of word) {
    const id = model.idOf(char);
    if (id !== undefined) {
      run.add(id);
      isInUnknown = false;
    } else if (addBytes(model, char, run)) {
      isInUnknown = false;
    } else if (model.unknownId !== undefined) {
      if (!(isInUnknown && model.fusesUnknown)) run.add(model.unknownId);
      isInUnknown = true;
    }
  }
  run.end();
}

/** Adds one id per byte of a character without a piece, if all of them have one. */
function addBytes(model: BpeModel, char: string, run: Run): boolean {
  if (model.byteIds === undefined) return false;
  const bytes: number[] = [];
  for (const byte of textBytes(char)) {
    const id = model.byteIds[byte];
    if (id === undefined) return false;
    bytes.push(id);
  }
  for (const id of bytes) run.add(id);
  return true;
}

/** The byte pieces of a vocabulary, if it has any. */
export function byteIdsOf(idOf: (piece: string) => number | undefined): (number | undefined)[] | undefined {
  const ids = Array.from({ length: 256 }, (_, byte) => idOf(fallbackPiece(byte)));
  return ids.some((id) => id !== undefined) ? ids : undefined;
}

// A queue's key is rank · 2³¹ + position: the earliest merge first, then the leftmost. Ranks stay below 2²², so keys are exact.
const RANK = 2 ** 31;

const NONE = new Int32Array(0);

/**
 * The ids of a word, merged as soon as one comes that nothing ever joins to the one before: a text that its vocabulary does not cut into
 * words (Gemma's) is still many short runs.
 */
class Run {
  readonly #merges: MergeTable;
  readonly #out: number[];
  readonly #ids: number[] = [];
  #length = 0;
  #prev = NONE;
  #next = NONE;

  constructor(merges: MergeTable, out: number[]) {
    this.#merges = merges;
    this.#out = out;
  }

  add(id: number): void {
    if (this.#length > 0 && !this.#merges.mayJoin(this.#ids[this.#length - 1]!, id)) this.end();
    this.#ids[this.#length++] = id;
  }

  /** Merges until nothing is left to, n log n in the length of the run, and appends what came of it. */
  end(): void {
    const n = this.#length;
    this.#length = 0;
    if (n === 1) this.#out.push(this.#ids[0]!);
    if (n < 2) return;
    if (n > this.#next.length) {
      const room = Math.max(32, 2 * n);
      this.#prev = new Int32Array(room);
      this.#next = new Int32Array(room);
    }
    const [merges, ids, prev, next] = [this.#merges, this.#ids, this.#prev, this.#next];
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
    for (let i = 0; i < n; i = next[i]!) this.#out.push(ids[i]!);
  }
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
