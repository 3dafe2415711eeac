/** How a text is normalised and cut into words before merging: the library's readers of those two fields of tokenizer.json. */

import { Tokenizer as HfTokenizer } from "@huggingface/tokenizers";
import { TokenizerError } from "../errors.ts";

export interface PreTokenizer {
  normalize(text: string): string;
  /** `isFirst`: the text stands at the very beginning (some vocabularies treat its first word differently). */
  words(normalized: string, isFirst: boolean): string[];
}

/** Throws a `TokenizerError` for a kind or a pattern the library does not know. */
export function parsePreTokenizer(normalizer: unknown, preTokenizer: unknown): PreTokenizer {
  checkSteps(normalizer, "normalizer", 0);
  checkSteps(preTokenizer, "pre_tokenizer", 0);
  let library: LibraryParts;
  try {
    // The library reads whole tokenizers only: this one has our two fields and an empty model.
    library = new HfTokenizer(
      {
        normalizer: objectOrNull(normalizer, "normalizer"),
        pre_tokenizer: objectOrNull(preTokenizer, "pre_tokenizer"),
        post_processor: null,
        decoder: null,
        added_tokens: [],
        model: { type: "BPE", vocab: {}, merges: [] },
      },
      {},
    ) as LibraryParts;
  } catch (cause) {
    if (cause instanceof TokenizerError) throw cause;
    throw new TokenizerError(`tokenizer.json: normalizer or pre_tokenizer can't be read${reasonOf(cause)}`, { cause });
  }
  const read: PreTokenizer = {
    normalize: (text) => library.normalizer?.normalize(text) ?? text,
    words: (text, isFirst) =>
      library.pre_tokenizer?.pre_tokenize(text, { section_index: isFirst ? 0 : 1 }) ?? (text === "" ? [] : [text]),
  };
  tryOut(read);
  return read;
}

const MAX_DEPTH = 8;

/** What the library would pass over with a word on the console: a step without a name, a pattern that it can't read. */
function checkSteps(field: unknown, where: string, depth: number): void {
  const step = objectOrNull(field, where) as Record<string, unknown> | null;
  if (step === null) return;
  if (depth > MAX_DEPTH) throw new TokenizerError(`tokenizer.json: ${where} nests deeper than ${MAX_DEPTH} levels`);
  if (typeof step.type !== "string") throw new TokenizerError(`tokenizer.json: ${where}.type must be a string`);
  const { pattern } = step;
  if (pattern !== undefined || step.type === "Replace" || step.type === "Split") {
    const { String: text, Regex: regex } = (pattern ?? {}) as Record<string, unknown>;
    if (typeof text !== "string" && typeof regex !== "string")
      throw new TokenizerError(`tokenizer.json: ${where}.pattern must be a String or a Regex`);
  }
  for (const list of ["normalizers", "pretokenizers"]) {
    const steps = step[list];
    if (steps === undefined || steps === null) continue;
    if (!Array.isArray(steps)) throw new TokenizerError(`tokenizer.json: ${where}.${list} must be a list`);
    for (const [at, inner] of steps.entries()) checkSteps(inner, `${where}.${list}[${at}]`, depth + 1);
  }
}

/** The library reads a step's other fields when a text comes. One that it stumbles over must not wait for a user's. */
function tryOut({ normalize, words }: PreTokenizer): void {
  try {
    for (const text of ["", "a", " Two words, 34!\n\té "]) {
      const normal = normalize(text);
      const found = [...words(normal, true), ...words(normal, false)];
      if (typeof normal !== "string" || found.some((word) => typeof word !== "string"))
        throw new TypeError("it makes something else than texts of a text");
    }
  } catch (cause) {
    throw new TokenizerError(
      `tokenizer.json: normalizer or pre_tokenizer fails on a plain text: one of their fields is not what it should be`,
      { cause },
    );
  }
}

/** What is used of the library's class. */
interface LibraryParts {
  readonly normalizer: { normalize(text: string): string } | null;
  readonly pre_tokenizer: { pre_tokenize(text: string, options: { section_index: number }): string[] } | null;
}

function objectOrNull(field: unknown, name: string): object | null {
  if (field === undefined || field === null) return null;
  if (typeof field !== "object" || Array.isArray(field)) {
    throw new TokenizerError(`tokenizer.json: ${name} must be an object or null`);
  }
  return field;
}

/** The library's own sentence where it has one; what a missing field makes its code stumble over says nothing to anybody. */
function reasonOf(cause: unknown): string {
  return cause instanceof Error && !(cause instanceof TypeError) ? `: ${cause.message.slice(0, 200)}` : "";
}
