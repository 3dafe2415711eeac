/** Many conversations in one isolate: each is told what it would be told alone. */

import { afterAll, beforeAll, expect, test } from "vitest";
import { ENDLESS } from "./default-model.ts";
import { blocks, eventsOf, fetchFrom, type Json, outputOf, randomOf } from "./http.ts";
import { Runtime } from "./runtime.ts";

const CONVERSATIONS = 20;
const words = ["amber", "birch", "cedar", "dune", "ember", "fjord", "grove", "heron", "iris", "jade"];

/** So that no two greedy clients are told the same. */
const heroes =
  "fox owl mouse whale cat dog bear rabbit duck frog horse snake raven falcon hen pig goat cow wolf turtle".split(" ");

type Way = "previous_response_id" | "conversation" | "chat";

/** What one client says, turn by turn. */
interface Script {
  readonly name: string;
  readonly codeWord: string;
  readonly way: Way;
  readonly sampling: Json;
  readonly says: readonly string[];
  /** Asks something else in between and hangs up in the middle of the reply. */
  readonly isRude: boolean;
}

const ways: readonly Way[] = ["previous_response_id", "conversation", "chat"];

const scripts: readonly Script[] = Array.from({ length: CONVERSATIONS }, (_, at) => {
  const codeWord = `${words[at % words.length]}-${words[(3 * at + 1 + Math.floor(at / words.length)) % words.length]}-${at}`;
  return {
    name: `conversation ${at}`,
    codeWord,
    way: ways[at % ways.length],
    sampling: { temperature: at % 2, seed: 100 + at, logit_bias: ENDLESS },
    says: [
      `The code word is ${codeWord}. Tell me a story about a ${heroes[at]}.`,
      "What is the code word?",
      `Say it again, and ${"then once more, ".repeat(at)}please.`,
      "Goodbye.",
    ],
    isRude: at % 4 === 1,
  };
});

/** One client's memory of its conversation, whichever way it goes on. */
class Client {
  readonly replies: string[] = [];
  readonly usages: unknown[] = [];
  readonly #script: Script;
  readonly #key: string;
  readonly #messages: Json[] = [];
  #last: string | null = null;
  #conversation: string | null = null;

  constructor(script: Script, key: string) {
    this.#script = script;
    this.#key = key;
  }

  async run(random: () => number): Promise<void> {
    if (this.#script.way === "conversation")
      this.#conversation = (await this.#json("POST", "/v1/conversations", {})).id as string;
    for (const [turn, text] of this.#script.says.entries()) {
      if (this.#script.isRude && turn > 0) await this.#hangUp(1 + Math.floor(12 * random()));
      await new Promise((resolve) => setTimeout(resolve, 20 * random()));
      await this.#turn(text, random() < 0.7);
    }
  }

  async #turn(text: string, stream: boolean): Promise<void> {
    if (this.#script.way === "chat") return this.#chat(text, stream);
    const body = {
      ...this.#script.sampling,
      input: text,
      max_output_tokens: 30,
      stream,
      ...(this.#conversation ? { conversation: this.#conversation } : {}),
      ...(this.#last && !this.#conversation ? { previous_response_id: this.#last } : {}),
    };
    const response = await this.#post("/v1/responses", body);
    const reply = (stream ? (await eventsOf(response)).at(-1)?.response : await response.json()) as Json;
    this.#last = reply.id as string;
    this.replies.push(outputOf(reply as never));
    this.usages.push(reply.usage);
  }

  async #chat(text: string, stream: boolean): Promise<void> {
    this.#messages.push({ role: "user", content: text });
    const options = stream ? { stream, stream_options: { include_usage: true } } : {};
    const body = { ...this.#script.sampling, messages: this.#messages, max_tokens: 30, ...options };
    const response = await this.#post("/v1/chat/completions", body);
    let content = "";
    let usage: unknown;
    if (stream) {
      for await (const chunk of blocks(response)) {
        if (chunk === null || typeof chunk === "string") continue;
        for (const { delta } of chunk.choices as { delta: { content?: string } }[]) content += delta.content ?? "";
        usage = chunk.usage ?? usage;
      }
    } else {
      const reply = (await response.json()) as { choices: { message: { content: string } }[]; usage: unknown };
      content = reply.choices[0].message.content;
      usage = reply.usage;
    }
    this.#messages.push({ role: "assistant", content });
    this.replies.push(content);
    this.usages.push(usage);
  }

  /** A long reply to something else, behind the same response where there is one, left after some events. */
  async #hangUp(after: number): Promise<void> {
    const abort = new AbortController();
    const parent = this.#last && !this.#conversation ? { previous_response_id: this.#last } : { store: false };
    const body = {
      ...this.#script.sampling,
      input: "Sing a long song.",
      max_output_tokens: 500,
      stream: true,
      ...parent,
    };
    const response = await this.#post("/v1/responses", body, abort.signal);
    let seen = 0;
    for await (const _ of blocks(response)) if (++seen === after) break;
    abort.abort();
  }

  /** A server that is full says so; then it is asked again. */
  async #post(path: string, body: Json, signal?: AbortSignal): Promise<Response> {
    for (let tries = 0; tries < 200; tries++) {
      const response = await fetchFrom(runtime, this.#key, "POST", path, body, signal ? { signal } : {});
      if (response.status === 200) return response;
      const text = await response.text();
      if (response.status !== 429) throw new Error(`${this.#script.name}: ${response.status} ${text}`);
      expect(response.headers.get("retry-after")).toMatch(/^[1-9]/);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`${this.#script.name}: the server stayed full`);
  }

  async #json(method: string, path: string, body: Json): Promise<Json> {
    return (await (await fetchFrom(runtime, this.#key, method, path, body)).json()) as Json;
  }
}

let runtime: Runtime;

beforeAll(async () => {
  runtime = await Runtime.start({ requestsPerMinute: 100_000 });
});
afterAll(() => runtime?.stop());

test("every reply of twenty interleaved conversations is the one given alone, whoever hangs up", {
  timeout: 120_000,
}, async () => {
  const alone: Client[] = [];
  for (const script of scripts) {
    const client = new Client({ ...script, isRude: false }, await runtime.key(`alone${alone.length}`));
    await client.run(() => 0);
    alone.push(client);
  }
  expect(new Set(alone.map(({ replies }) => replies.join("\n"))).size).toBe(CONVERSATIONS); // else a mix-up could hide
  // Pairs share a tenant, so that neither a key nor a prefix index keeps them apart.
  const keys = await Promise.all(scripts.map((_, at) => runtime.key(`shared${at >> 1}`)));
  const together = scripts.map((script, at) => new Client(script, keys[at]));
  await Promise.all(together.map((client, at) => client.run(randomOf(1000 + at))));
  for (const [at, { replies, usages }] of together.entries()) {
    expect(replies, scripts[at].name).toStrictEqual(alone[at].replies);
    expect(usages, scripts[at].name).toStrictEqual(alone[at].usages);
    const others = scripts.filter(({ codeWord }) => codeWord !== scripts[at].codeWord);
    for (const { codeWord } of others) expect(replies.join("\n")).not.toContain(codeWord);
  }
});
