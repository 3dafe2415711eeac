/** From a model's folder to what turns text into tokens and back: the tokenizer and chat template beside the weights. */

import { companionFiles, readManifest } from "./checkpoint/bundle-reader.ts";
import { type Folder, readText } from "./checkpoint/byte-source.ts";
import type { CreateHasher } from "./checkpoint/hasher.ts";
import { parseStrictJson } from "./checkpoint/strict-json.ts";
import { ChatEncoder } from "./tokenizer/chat-encoder.ts";
import { findChatTemplate, parseChatTemplate } from "./tokenizer/chat-template.ts";
import { parseTokenizer, type Tokenizer } from "./tokenizer/tokenizer.ts";

export interface TextSide {
  readonly tokenizer: Tokenizer;
  /** null where the model has no chat template. */
  readonly chat: ChatEncoder | null;
}

export const TOKENIZER_FILE = "tokenizer.json";

const MAX_TOKENIZER_BYTES = 256 * 2 ** 20; // Gemma's has 17 MB
const MAX_TEMPLATE_BYTES = 2 ** 20;

/** null where the folder has no tokenizer. */
export async function loadTextSide(folder: Folder): Promise<TextSide | null> {
  const tokenizerJson = await readJson(folder, TOKENIZER_FILE, MAX_TOKENIZER_BYTES);
  if (tokenizerJson === undefined) return null;
  const config = await readJson(folder, "tokenizer_config.json", MAX_TEMPLATE_BYTES);
  const jinja = await folder.open("chat_template.jinja");
  const source = findChatTemplate(config, jinja ? await readText(jinja, MAX_TEMPLATE_BYTES) : undefined);
  const tokenizer = parseTokenizer(tokenizerJson, config);
  return {
    tokenizer,
    chat: source === undefined ? null : new ChatEncoder(tokenizer, parseChatTemplate(source, config)),
  };
}

/** Of a bundle, only files that its manifest lists and vouches for; a checkpoint's lie there as they are. */
export async function textFiles(folder: Folder, createHasher: CreateHasher): Promise<Folder> {
  const manifest = await readManifest(folder, createHasher);
  return manifest ? companionFiles(folder, manifest, createHasher) : folder;
}

async function readJson(folder: Folder, name: string, limitBytes: number): Promise<unknown> {
  const source = await folder.open(name);
  return source ? parseStrictJson(await readText(source, limitBytes), name) : undefined;
}
