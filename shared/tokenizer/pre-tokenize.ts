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
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new TokenizerError(`tokenizer.json: normalizer or pre_tokenizer can't be read: ${reason}`, { cause });
  }
  return {
    normalize: (text) => library.normalizer?.normalize(text) ?? text,
    words: (text, isFirst) =>
      library.pre_tokenizer?.pre_tokenize(text, { section_index: isFirst ? 0 : 1 }) ?? (text === "" ? [] : [text]),
  };
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
