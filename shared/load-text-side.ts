/** From a model's folder to what turns text into tokens and back: the tokenizer and chat template beside the weights. */

import { companionFiles, readManifest } from "./checkpoint/bundle-reader.ts";
import { type Folder, readText } from "./checkpoint/byte-source.ts";
import type { CreateHasher } from "./checkpoint/hasher.ts";
import { loadTokenizer, MAX_TEXT_BYTES } from "./load-tokenizer.ts";
import { ChatEncoder } from "./tokenizer/chat-encoder.ts";
import { findChatTemplate, parseChatTemplate } from "./tokenizer/chat-template.ts";
import type { Tokenizer } from "./tokenizer/tokenizer.ts";

export interface TextSide {
  readonly tokenizer: Tokenizer;
  /** null where the model has no chat template. */
  readonly chat: ChatEncoder | null;
}

/** null where the folder has no tokenizer. */
export async function loadTextSide(folder: Folder): Promise<TextSide | null> {
  const loaded = await loadTokenizer(folder);
  if (!loaded) return null;
  const { tokenizer, config } = loaded;
  const jinja = await folder.open("chat_template.jinja");
  const source = findChatTemplate(config, jinja ? await readText(jinja, MAX_TEXT_BYTES) : undefined);
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
