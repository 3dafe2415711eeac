/** From a model's folder to its tokenizer alone; `load-text-side.ts` adds the chat template. */

import { type Folder, readText } from "./checkpoint/byte-source.ts";
import { parseStrictJson } from "./checkpoint/strict-json.ts";
import { parseTokenizer, type Tokenizer } from "./tokenizer/tokenizer.ts";

export const TOKENIZER_FILE = "tokenizer.json";

/** Of configurations and templates. */
export const MAX_TEXT_BYTES = 2 ** 20;

const MAX_TOKENIZER_BYTES = 256 * 2 ** 20; // Gemma's has 17 MB

export interface LoadedTokenizer {
  readonly tokenizer: Tokenizer;
  /** tokenizer_config.json; `undefined` if the folder has none. */
  readonly config: unknown;
}

/** null where the folder has no tokenizer. */
export async function loadTokenizer(folder: Folder): Promise<LoadedTokenizer | null> {
  const tokenizerJson = await readJson(folder, TOKENIZER_FILE, MAX_TOKENIZER_BYTES);
  if (tokenizerJson === undefined) return null;
  const config = await readJson(folder, "tokenizer_config.json", MAX_TEXT_BYTES);
  return { tokenizer: parseTokenizer(tokenizerJson, config), config };
}

async function readJson(folder: Folder, name: string, limitBytes: number): Promise<unknown> {
  const source = await folder.open(name);
  return source ? parseStrictJson(await readText(source, limitBytes), name) : undefined;
}
