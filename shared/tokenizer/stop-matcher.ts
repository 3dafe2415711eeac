/** Finds stop strings in a stream of text, and keeps back what may turn out to be the beginning of one. */

import { OptionError } from "../errors.ts";

export interface Shown {
  /** Text that may be shown now. */
  readonly text: string;
  /** The stop string that ended the output; it and what follows are never shown. */
  readonly stopped: string | null;
}

/**
 * Which stop wins: the one that is complete first, as for a reader who sees one character at a time; of two complete at
 * the same character, the longer (it begins earlier, so less is shown). The result does not depend on how the text is cut.
 *
 * An Aho–Corasick automaton over characters: time is linear in the text, whatever the stops are. Its depth is the length
 * of the longest end of the text that begins some stop: exactly what must be held back.
 */
export class StopMatcher {
  readonly #root: Node;
  #at: Node;
  #held = "";
  #stopped: string | null = null;

  /** No stops: everything is shown at once. */
  constructor(stops: readonly string[]) {
    this.#root = buildAutomaton(stops);
    this.#at = this.#root;
  }

  /** The end of what was pushed may be the beginning of a stop string, and is held back. */
  get holding(): boolean {
    return this.#held !== "";
  }

  /** `text` must be whole characters (no half surrogate pair), as `TextStream` gives them. After a stop, nothing more is shown. */
  push(text: string): Shown {
    if (this.#stopped !== null) return { text: "", stopped: this.#stopped };
    const pending = this.#held + text;
    let end = this.#held.length;
    for (const char of text) {
      end += char.length;
      this.#at = step(this.#at, char, this.#root);
      const stop = this.#at.stop;
      if (stop !== null) {
        this.#stopped = stop;
        this.#held = "";
        return { text: pending.slice(0, end - stop.length), stopped: stop };
      }
    }
    const shown = pending.length - this.#at.length;
    this.#held = pending.slice(shown);
    return { text: pending.slice(0, shown), stopped: null };
  }

  /** The output is over: what was held back after all belongs to it. "" after a stop. */
  end(): string {
    const rest = this.#held;
    this.#held = "";
    this.#at = this.#root;
    return rest;
  }
}

/** A node stands for the beginning of some stop. */
interface Node {
  /** Its length in UTF-16 units. */
  readonly length: number;
  readonly next: Map<string, Node>;
  /** The node of its longest proper end that is a beginning too. */
  fallback: Node | null;
  /** The longest stop that ends here. */
  stop: string | null;
}

function step(from: Node, char: string, root: Node): Node {
  for (let node: Node | null = from; node !== null; node = node.fallback) {
    const next = node.next.get(char);
    if (next !== undefined) return next;
  }
  return root;
}

function buildAutomaton(stops: readonly string[]): Node {
  const root: Node = { length: 0, next: new Map(), fallback: null, stop: null };
  for (const stop of stops) {
    if (stop === "") throw new OptionError("stop", "a stop string must not be empty");
    let node = root;
    for (const char of stop) {
      let child = node.next.get(char);
      if (child === undefined) {
        child = { length: node.length + char.length, next: new Map(), fallback: null, stop: null };
        node.next.set(char, child);
      }
      node = child;
    }
    node.stop = stop;
  }
  // Breadth first, so that a node's fallback, being shorter, is finished before it.
  const queue: Node[] = [root];
  for (const node of queue) {
    for (const [char, child] of node.next) {
      child.fallback = node.fallback === null ? root : step(node.fallback, char, root);
      child.stop ??= child.fallback.stop;
      queue.push(child);
    }
  }
  return root;
}
