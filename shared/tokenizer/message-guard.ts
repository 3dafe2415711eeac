/** Carries what users wrote through a chat template so that none of it can become a control token. */

import { TokenizerError } from "../errors.ts";
import type { ChatMessage } from "./chat-template.ts";
import type { Tokenizer } from "./tokenizer.ts";

/**
 * A control token in the rendered text must come from the template. So wherever a message contains the name of one, the
 * name's first character is replaced by a private-use character that occurs nowhere else; the rendered text is searched
 * for control tokens; and the stretches between them get the character back. Most messages contain no such name and go
 * through unchanged.
 *
 * A template can still build a name out of a message (`content | replace("x", "")`). Hence the second form, in which
 * every character that could begin a name is replaced: it has the template's own control tokens and no others, and if
 * the first form has different ones, the template lets messages write control tokens and is not obeyed.
 */
export class MessageGuard {
  readonly #tokenizer: Tokenizer;
  readonly #messages: readonly ChatMessage[];
  readonly #hidden: ReadonlyMap<string, string>;
  readonly #shown: ReadonlyMap<string, string>;
  /** A further character that occurs in neither messages nor template. */
  readonly marker: string;

  constructor(tokenizer: Tokenizer, messages: readonly ChatMessage[], templateSource: string) {
    this.#tokenizer = tokenizer;
    this.#messages = messages;
    const contents = messages.map(({ content }) => content);
    const unused = unusedCharacters([templateSource, ...contents]);
    this.marker = unused.next().value!;
    const initials = [...tokenizer.controlInitials].filter((initial) =>
      contents.some((text) => text.includes(initial)),
    );
    this.#hidden = new Map(initials.map((initial) => [initial, unused.next().value!]));
    this.#shown = new Map([...this.#hidden].map(([initial, substitute]) => [substitute, initial]));
  }

  /** Renders the messages, names of control tokens hidden. Throws a `TokenizerError` if the template undoes that. */
  render(template: (messages: readonly ChatMessage[]) => string): string {
    const text = template(this.#map((content) => this.#hideNames(content)));
    if (this.#hidden.size > 0) {
      const ownText = template(this.#map((content) => this.#hideInitials(content)));
      if (this.#controlsIn(text) !== this.#controlsIn(ownText)) {
        throw new TokenizerError("the chat template makes control tokens out of what messages say");
      }
    }
    return text;
  }

  /** Gives a stretch of rendered text its hidden characters back. */
  readonly restore = (stretch: string): string => {
    let text = stretch;
    for (const [substitute, initial] of this.#shown) text = replaced(text, substitute, initial);
    return text;
  };

  #map(hide: (content: string) => string): ChatMessage[] {
    return this.#messages.map(({ role, content }) => ({
      role,
      content: this.#hidden.size > 0 ? hide(content) : content,
    }));
  }

  #hideNames(content: string): string {
    let text = "";
    let start = 0;
    for (let i = 0; i < content.length; i++) {
      if (!this.#tokenizer.isControlAt(content, i)) continue;
      const initial = String.fromCodePoint(content.codePointAt(i)!);
      text += content.slice(start, i) + this.#hidden.get(initial)!;
      start = i + initial.length;
    }
    return text + content.slice(start);
  }

  #hideInitials(content: string): string {
    let text = content;
    for (const [initial, substitute] of this.#hidden) text = replaced(text, initial, substitute);
    return text;
  }

  #controlsIn(text: string): string {
    return this.#tokenizer
      .controlsIn(text)
      .map((token) => token.id)
      .join();
  }
}

/** As `replaceAll`, whose strings of strings take a hundred bytes for each place: a message of a megabyte `<` was too much for an isolate. */
const replaced = (text: string, from: string, to: string): string => text.split(from).join(to);

/** Private-use characters that occur in none of the texts. */
function* unusedCharacters(texts: readonly string[]): Generator<string, never> {
  const used = new Set(texts.flatMap((text) => text.match(/[\uE000-\uF8FF]/g) ?? []));
  for (let unit = 0xe000; unit <= 0xf8ff; unit++) {
    const char = String.fromCharCode(unit);
    if (!used.has(char)) yield char;
  }
  throw new TokenizerError("the messages use every private-use character; none is left to mark them with");
}
