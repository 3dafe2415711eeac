/** `aerie chat`: a conversation whose state is kept, so that each turn costs its own tokens only. */

import { createInterface } from "node:readline";
import { Command } from "commander";
import type { State } from "../../shared/backend/backend.ts";
import { createState, type Model, prefill } from "../../shared/engine.ts";
import { TokenizerError } from "../../shared/errors.ts";
import { type GenerateOptions, type GenerateResult, generate } from "../../shared/generate.ts";
import type { ChatEncoder } from "../../shared/tokenizer/chat-encoder.ts";
import type { ChatMessage } from "../../shared/tokenizer/chat-template.ts";
import type { Tokenizer } from "../../shared/tokenizer/tokenizer.ts";
import { type GenerationOptions, generateOptions, withGeneration } from "../generation-options.ts";
import { backendOption, type ModelOptions, openModel, openTextSide, withModel } from "../model-argument.ts";
import { formatCount, progress } from "../progress.ts";

interface ChatOptions extends ModelOptions, GenerationOptions {
  readonly system?: string;
  readonly json?: boolean;
}

export const chatCommand = withGeneration(withModel(new Command("chat")))
  .description("Talk with a model. Each line of standard input is a message.")
  .option("--system <text>", "instructions before the first message")
  .addOption(backendOption())
  .option("--json", "print one JSON object per reply instead of the text as it comes")
  .addHelpText("after", "\nIn a terminal: /reset starts over, /exit or Ctrl-D ends, Ctrl-C stops a reply.\n")
  .action(chat);

async function chat(path: string, options: ChatOptions): Promise<void> {
  const generation = generateOptions(options);
  const { tokenizer, chat: encoder } = await openTextSide(path);
  if (!encoder)
    throw new TokenizerError(`${path} has no chat template: \`aerie complete\` goes on with plain text instead`);
  const model = await openModel(path, options);
  const talk = new Talk(model, tokenizer, encoder, generation, options.system);

  const isTerminal = Boolean(process.stdin.isTTY && process.stdout.isTTY);
  const lines = createInterface({
    input: process.stdin,
    output: isTerminal ? process.stdout : undefined,
    prompt: "> ",
  });
  let reply: AbortController | null = null;
  lines.on("SIGINT", () => (reply ? reply.abort() : lines.close()));
  if (isTerminal) lines.prompt();
  for await (const line of lines) {
    const message = line.trim();
    if (message === "/exit") break;
    if (message === "/reset") talk.reset();
    else if (message !== "") {
      reply = new AbortController();
      const said = await talk.reply(message, reply.signal, (text) => {
        if (!options.json) process.stdout.write(text);
      });
      reply = null;
      process.stdout.write(options.json ? `${JSON.stringify(said)}\n` : "\n");
    }
    if (isTerminal) lines.prompt();
  }
  lines.close();
}

interface Reply {
  readonly text: string;
  readonly ids: readonly number[];
  readonly finishReason: GenerateResult["finishReason"] | "cancelled";
  readonly usage: { readonly promptTokens: number; readonly cachedTokens: number; readonly completionTokens: number };
}

/** One conversation: its messages, its token log, and the state that has consumed the log but for its last token. */
class Talk {
  readonly #model: Model;
  readonly #tokenizer: Tokenizer;
  readonly #encoder: ChatEncoder;
  readonly #generation: GenerateOptions;
  readonly #system: readonly ChatMessage[];
  #messages: ChatMessage[];
  #log: number[] = [];
  #replyIds: readonly number[] = [];
  #state: State;

  constructor(model: Model, tokenizer: Tokenizer, encoder: ChatEncoder, generation: GenerateOptions, system?: string) {
    this.#model = model;
    this.#tokenizer = tokenizer;
    this.#encoder = encoder;
    this.#generation = generation;
    this.#system = system === undefined ? [] : [{ role: "system", content: system }];
    this.#messages = [...this.#system];
    this.#state = createState(model);
  }

  reset(): void {
    this.#messages = [...this.#system];
    this.#log = [];
    this.#state = createState(this.#model);
  }

  async reply(message: string, signal: AbortSignal, show: (text: string) => void): Promise<Reply> {
    this.#append({ role: "user", content: message });
    const cachedTokens = this.#state.position;
    const promptTokens = this.#log.length;
    const bar = progress("prefill", (count) => `${formatCount(count)} tokens`);
    const logits = await prefill(this.#model, this.#state, this.#log.slice(cachedTokens), { onProgress: bar.update });
    bar.stop();

    let text = "";
    const ids: number[] = [];
    let finishReason: Reply["finishReason"] = "cancelled";
    const say = (part: string) => {
      text += part;
      show(part);
    };
    const tokens = generate(this.#model, this.#tokenizer, this.#state, logits, this.#log, this.#generation);
    while (!signal.aborted) {
      const next = await tokens.next();
      if (next.done) {
        say(next.value.rest);
        finishReason = next.value.finishReason;
        break;
      }
      ids.push(next.value.token);
      say(next.value.text);
      await new Promise(setImmediate); // let the text out and a Ctrl-C in
    }
    this.#log.push(...ids);
    this.#replyIds = ids;
    this.#messages.push({ role: "assistant", content: text });
    return { text, ids, finishReason, usage: { promptTokens, cachedTokens, completionTokens: ids.length } };
  }

  /** Adds a message to the log: its own tokens where the state can go on, all of them where the template rewrites history. */
  #append(message: ChatMessage): void {
    const [earlier, next] = [this.#messages.slice(0, -1), [message]];
    const followUp =
      this.#log.length > 0 ? this.#encoder.followUp({ messages: earlier, replyIds: this.#replyIds, next }) : null;
    this.#messages.push(message);
    if (followUp) {
      this.#log.push(...followUp);
      return;
    }
    this.#log = this.#encoder.openTurns(this.#messages);
    this.#state = createState(this.#model);
  }
}
