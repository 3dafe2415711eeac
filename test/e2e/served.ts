/** One runtime for the tests of a file, and the official client that talks to it. */

import { readFileSync } from "node:fs";
import OpenAI from "openai";
import { afterAll, beforeAll } from "vitest";
import { Runtime, type RuntimeOptions } from "./runtime.ts";

export class Served {
  readonly #options: RuntimeOptions;
  #runtime: Runtime | null = null;
  #key = "";

  constructor(options: RuntimeOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    this.#runtime = await Runtime.start(this.#options);
    this.#key = await this.#runtime.key();
  }

  async stop(): Promise<void> {
    await this.#runtime?.stop();
  }

  get runtime(): Runtime {
    if (!this.#runtime) throw new Error("the runtime is started before the first test, not before");
    return this.#runtime;
  }

  get key(): string {
    return this.#key;
  }

  /** As it comes but for retries, which would hide what is asked about. The URL changes with every restart: ask anew. */
  get openai(): OpenAI {
    return this.clientOf(this.#key);
  }

  clientOf(apiKey: string): OpenAI {
    return new OpenAI({ apiKey, baseURL: `${this.runtime.url}/v1`, maxRetries: 0 });
  }

  /** What the official client has no method for. */
  fetch(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
    const isBinary = body instanceof Uint8Array;
    const type = isBinary ? "application/octet-stream" : "application/json";
    return fetch(`${this.runtime.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.#key}`,
        ...(body === undefined ? {} : { "content-type": type }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: isBinary ? new Uint8Array(body) : JSON.stringify(body) }),
    });
  }

  /** The reply's JSON; an error where the status is one. */
  async json<Value>(method: string, path: string, body?: unknown): Promise<Value> {
    const response = await this.fetch(method, path, body);
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return JSON.parse(text) as Value;
  }

  /** Options with which no reply ends before its last allowed token. */
  async endless(): Promise<{ logit_bias: Record<string, number> }> {
    const [model] = (await this.openai.models.list()).data;
    const manifest = new URL(`../../build/assets/models/${model?.id}/manifest.json`, import.meta.url);
    const { config } = JSON.parse(readFileSync(manifest, "utf8")) as { config: { eosIds: number[] } };
    return { logit_bias: Object.fromEntries(config.eosIds.map((id) => [id, -100])) };
  }
}

/** Started before the file's tests, stopped after them. */
export function serve(options: RuntimeOptions = {}): Served {
  const served = new Served(options);
  beforeAll(() => served.start());
  afterAll(() => served.stop());
  return served;
}

export const greedy = { temperature: 0 } as const;
/** Two people with one seed hear the same. */
export const seeded = { temperature: 1, seed: 20_261_122 } as const;
export const hello = "Tell me a story about an owl.";

export async function collect<Value>(values: AsyncIterable<Value>): Promise<Value[]> {
  const all: Value[] = [];
  for await (const value of values) all.push(value);
  return all;
}

/** Asks until it is so; a test's own time limit ends it. */
export async function until<Value>(ask: () => Promise<Value>, isSo: (value: Value) => boolean): Promise<Value> {
  for (;;) {
    const value = await ask();
    if (isSo(value)) return value;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
