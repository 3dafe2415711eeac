/** How a list of messages becomes one text: a model's Jinja chat template, found and rendered. */

import { TokenizerError } from "../errors.ts";
import { BoundedTemplate } from "./bounded-jinja.ts";
import { tokenText } from "./tokenizer-json.ts";

export interface ChatMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

export interface RenderOptions {
  /** Ends with the opening of the assistant's turn. Default: false. */
  readonly addGenerationPrompt?: boolean;
}

export interface ChatTemplate {
  readonly source: string;
  /**
   * The conversation's text. Control tokens' names in `content` come out as they are: `ChatEncoder` is what keeps them
   * apart. Throws a `TemplateRefusal` (a `TokenizerError`) with the template's own words if it does not allow the conversation.
   */
  render(messages: readonly ChatMessage[], options?: RenderOptions): string;
}

/**
 * The template's source: `chat_template.jinja` where a model has that file, else `chat_template` of tokenizer_config.json,
 * a string or a list of named ones with a "default". `undefined` if the model has none.
 */
export function findChatTemplate(tokenizerConfigJson: unknown, jinjaFile?: string): string | undefined {
  if (jinjaFile !== undefined) return jinjaFile;
  const field = fieldOf(tokenizerConfigJson, "chat_template");
  if (field === undefined || field === null) return undefined;
  if (typeof field === "string") return field;
  if (Array.isArray(field)) {
    const entry: unknown = field.find((named: unknown) => fieldOf(named, "name") === "default");
    const template = fieldOf(entry, "template");
    if (typeof template === "string") return template;
  }
  throw new TokenizerError('tokenizer_config.json: chat_template must be a string or a list with a "default" template');
}

/** The config gives the template its `bos_token`, `eos_token` and their like. Throws a `TokenizerError`. */
export function parseChatTemplate(source: string, tokenizerConfigJson?: unknown): ChatTemplate {
  const template = new BoundedTemplate(source);
  const tokens: Record<string, string> = {};
  for (const name of ["bos_token", "eos_token", "pad_token", "unk_token"]) {
    const text = tokenText(fieldOf(tokenizerConfigJson, name));
    if (text !== undefined) tokens[name] = text;
  }
  return {
    source,
    render(messages, options = {}) {
      const variables = {
        ...tokens,
        messages: messages.map(({ role, content }) => ({ role, content })),
        add_generation_prompt: options.addGenerationPrompt ?? false,
        tools: null,
        documents: null,
      };
      const contentLength = messages.reduce((sum, { content }) => sum + content.length, 0);
      return template.render(variables, messages.length, contentLength);
    },
  };
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
