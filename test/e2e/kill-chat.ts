/** A chat's client that outlives its server: it sends its request again until it has heard the whole reply once. */

import { blocks, fetchFrom, type Json } from "./http.ts";
import type { Arena } from "./kill-arena.ts";
import { MAX_TRIES } from "./kill-clients.ts";

interface Chunk {
  readonly id: string;
  readonly choices: readonly { readonly delta: { readonly content?: string }; readonly finish_reason: string | null }[];
  readonly usage?: Json | null;
}

export class ChatWriter {
  /** The longest beginning of the reply that was heard. */
  texts: string[] = [];
  usage: Json | null = null;
  ids = new Set<string>();
  retries = 0;
  isComplete = false;
  readonly #arena: Arena;
  readonly #body: Json;
  readonly #idempotencyKey: string;
  #watchers: { readonly count: number; resolve(): void }[] = [];

  constructor(arena: Arena, body: Json, idempotencyKey: string) {
    this.#arena = arena;
    this.#body = body;
    this.#idempotencyKey = idempotencyKey;
  }

  heardTexts(count: number): Promise<void> {
    return new Promise((resolve) => void this.#watchers.push({ count, resolve }));
  }

  async run(): Promise<void> {
    const { runtime, key, gate, problem } = this.#arena;
    for (let tries = 0; !this.isComplete; tries++) {
      if (tries === MAX_TRIES) throw new Error(`no end after ${tries} requests`);
      if (tries > 0) this.retries++;
      await gate.passed();
      const headers = { "idempotency-key": this.#idempotencyKey };
      const path = "/v1/chat/completions";
      const response = await fetchFrom(runtime, key, "POST", path, this.#body, { headers }).catch(() => null);
      if (response?.ok === false) problem(`${response.status} for a chat: ${await response.text()}`);
      else if (response) await this.#read(response);
      if (!this.isComplete) await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Each connection brings the reply from its beginning: where two overlap, they agree. */
  async #read(response: Response): Promise<void> {
    const texts: string[] = [];
    try {
      for await (const block of blocks(response)) {
        if (typeof block === "string") continue;
        if (block === null) this.isComplete = true;
        else this.#take(block as unknown as Chunk, texts);
        this.#watchers = this.#watchers.filter(({ count, resolve }) => this.texts.length < count || resolve());
      }
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // what fetch throws for a connection that broke
    }
    if (this.isComplete && texts.length !== this.texts.length)
      this.#arena.problem(`a whole reply of ${texts.length} texts, ${this.texts.length} had been heard before`);
  }

  #take({ id, choices, usage }: Chunk, texts: string[]): void {
    this.ids.add(id);
    if (usage) this.usage = usage;
    const text = choices?.[0]?.delta.content;
    if (!text) return;
    const at = texts.push(text) - 1;
    if (at === this.texts.length) this.texts.push(text);
    else if (this.texts[at] !== text) this.#arena.problem(`text ${at} was ${this.texts[at]}, now it is ${text}`);
  }
}
