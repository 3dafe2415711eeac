/** Where in a text do added tokens stand? They are cut out, leftmost first and longest first, before anything else happens. */

export interface AddedToken {
  readonly id: number;
  readonly content: string;
  /** A control token: it steers the model, so a user's text never yields it and decoding skips it. */
  readonly isControl: boolean;
  /** Matched in the normalised text instead of the raw one. */
  readonly isNormalized: boolean;
  /** Swallows the white space before (after) it. */
  readonly stripsLeft: boolean;
  readonly stripsRight: boolean;
}

/** A stretch of plain text, or an added token. */
export type Section = string | AddedToken;

interface Node {
  readonly next: Map<number, Node>;
  token: AddedToken | undefined;
}

export class TokenTrie {
  readonly #root: Node = { next: new Map(), token: undefined };

  /** `spell` is how a token looks in the text to be searched, if not by its content. */
  constructor(tokens: Iterable<AddedToken>, spell: (token: AddedToken) => string = (token) => token.content) {
    for (const token of tokens) {
      let node = this.#root;
      const spelling = spell(token);
      for (let i = 0; i < spelling.length; i++) {
        const unit = spelling.charCodeAt(i);
        let child = node.next.get(unit);
        if (child === undefined) {
          child = { next: new Map(), token: undefined };
          node.next.set(unit, child);
        }
        node = child;
      }
      if (spelling !== "") node.token = token;
    }
  }

  get isEmpty(): boolean {
    return this.#root.next.size === 0;
  }

  /** The length of the longest token that starts at `index`, 0 if none does. */
  lengthAt(text: string, index: number): number {
    return this.#longestAt(text, index)?.length ?? 0;
  }

  split(text: string): Section[] {
    if (this.isEmpty) return text === "" ? [] : [text];
    const sections: Section[] = [];
    let start = 0;
    let stripsNext = false;
    const pushText = (end: number, next: AddedToken | undefined) => {
      let plain = text.slice(start, end);
      if (stripsNext) plain = plain.trimStart();
      if (next?.stripsLeft) plain = plain.trimEnd();
      if (plain !== "") sections.push(plain);
    };
    for (let i = 0; i < text.length; ) {
      const match = this.#longestAt(text, i);
      if (match === undefined) {
        i++;
        continue;
      }
      pushText(i, match.token);
      sections.push(match.token);
      stripsNext = match.token.stripsRight;
      i += match.length;
      start = i;
    }
    pushText(text.length, undefined);
    return sections;
  }

  #longestAt(text: string, index: number): { token: AddedToken; length: number } | undefined {
    let node = this.#root.next.get(text.charCodeAt(index));
    let found: { token: AddedToken; length: number } | undefined;
    for (let i = index + 1; node !== undefined; i++) {
      if (node.token !== undefined) found = { token: node.token, length: i - index };
      node = i < text.length ? node.next.get(text.charCodeAt(i)) : undefined;
    }
    return found;
  }
}
