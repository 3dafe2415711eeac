/** Many turns at once on one isolate: what each is told alone, and what becomes of all of them together. */

import { ENDLESS } from "./default-model.ts";
import { blocks, fetchFrom, type Json } from "./http.ts";

/** How a reply is asked for. Kept turns run in objects of their own, passing ones in the Worker: one isolate holds them all. */
const kinds = ["response", "response stream", "chat", "chat stream", "passing chat"] as const;
type Kind = (typeof kinds)[number];

interface Ask {
  readonly kind: Kind;
  readonly text: string;
}

export interface Outcome {
  readonly kind: Kind;
  readonly latencyMs: number;
  /** null: refused with 429 and a time to come back. */
  readonly reply: string | null;
  readonly retryAfterSeconds: number;
}

interface Server {
  readonly url: string;
}

const TEXTS = 12;
export const TOKENS = 256; // several slices of compute: turns that fit into one never are many at a time

export const asks = (count: number): Ask[] =>
  Array.from({ length: count }, (_, at) => ({
    kind: kinds[at % kinds.length],
    text: `Tell me story number ${at % TEXTS} about ${["an owl", "a river", "the moon", "a bear"][at % 4]}.`,
  }));

/** Every text's reply with nobody else around: always the same, since it is greedy. */
export async function repliesAlone(server: Server, key: string): Promise<ReadonlyMap<string, string>> {
  const replies = new Map<string, string>();
  for (const { text } of asks(TEXTS)) {
    const { reply } = await askFor(server, key, { kind: "passing chat", text });
    if (reply === null) throw new Error("a server with nothing to do refused a turn");
    replies.set(text, reply);
  }
  return replies;
}

/** All at once. Throws for an answer that is wrong, half, or an error other than 429 with Retry-After. */
export function burst(
  server: Server,
  keys: readonly string[],
  alone: ReadonlyMap<string, string>,
  count: number,
): Promise<Outcome[]> {
  return Promise.all(asks(count).map((ask, at) => checked(server, keys[at % keys.length], ask, alone)));
}

/** The same by clients that come back when they are told to, until they are answered. Latencies are of the whole. */
export function patientBurst(
  server: Server,
  keys: readonly string[],
  alone: ReadonlyMap<string, string>,
  count: number,
): Promise<Outcome[]> {
  return Promise.all(
    asks(count).map(async (ask, at) => {
      const start = performance.now();
      for (;;) {
        const outcome = await checked(server, keys[at % keys.length], ask, alone);
        if (outcome.reply !== null) return { ...outcome, latencyMs: performance.now() - start };
        await new Promise((resolve) => setTimeout(resolve, 1000 * outcome.retryAfterSeconds));
      }
    }),
  );
}

async function checked(server: Server, key: string, ask: Ask, alone: ReadonlyMap<string, string>): Promise<Outcome> {
  const outcome = await askFor(server, key, ask);
  const expected = alone.get(ask.text);
  if (outcome.reply !== null && outcome.reply !== expected)
    throw new Error(
      `${ask.kind}: alone the reply is ${JSON.stringify(expected)}, now ${JSON.stringify(outcome.reply)}`,
    );
  return outcome;
}

async function askFor(server: Server, key: string, { kind, text }: Ask): Promise<Outcome> {
  const options = { temperature: 0, logit_bias: ENDLESS, stream: kind.endsWith("stream") };
  const isResponse = kind.startsWith("response");
  const body: Json = isResponse
    ? { ...options, input: text, max_output_tokens: TOKENS }
    : {
        ...options,
        messages: [{ role: "user", content: text }],
        max_tokens: TOKENS,
        ...(kind === "passing chat" && { store: false }),
      };
  const start = performance.now();
  const response = await fetchFrom(server, key, "POST", isResponse ? "/v1/responses" : "/v1/chat/completions", body);
  if (response.status !== 200) return refused(kind, response, start);
  const reply = options.stream
    ? await streamed(response, isResponse)
    : whole((await response.json()) as Json, isResponse);
  return { kind, latencyMs: performance.now() - start, reply, retryAfterSeconds: 0 };
}

async function refused(kind: Kind, response: Response, start: number): Promise<Outcome> {
  const text = await response.text();
  const retryAfterSeconds = Number(response.headers.get("retry-after"));
  const { error } = JSON.parse(text) as { error: Json };
  if (response.status !== 429 || !(retryAfterSeconds >= 1) || error.type !== "rate_limit_error")
    throw new Error(`${kind}: expected 200, or 429 with Retry-After, found ${response.status} ${text}`);
  return { kind, latencyMs: performance.now() - start, reply: null, retryAfterSeconds };
}

interface Message {
  readonly content: string;
}

/** Whole replies end by their length, as all of these do. */
function whole(json: Json, isResponse: boolean): string {
  if (isResponse) {
    if (json.status !== "incomplete") throw new Error(`a half answer: ${JSON.stringify(json).slice(0, 500)}`);
    return (json.output as { content: { text: string }[] }[])[0].content[0].text;
  }
  const [choice] = json.choices as { message: Message; finish_reason: string }[];
  if (choice.finish_reason !== "length") throw new Error(`a half answer: ${JSON.stringify(json).slice(0, 500)}`);
  return choice.message.content;
}

async function streamed(response: Response, isResponse: boolean): Promise<string> {
  let text = "";
  let isWhole = false;
  for await (const block of blocks(response)) {
    if (block === null || typeof block === "string") continue;
    if (isResponse) {
      if (block.type === "response.output_text.delta") text += block.delta as string;
      isWhole = block.type === "response.incomplete";
    } else
      for (const { delta, finish_reason } of (block.choices ?? []) as {
        delta: { content?: string };
        finish_reason: string | null;
      }[]) {
        text += delta.content ?? "";
        isWhole ||= finish_reason === "length";
      }
  }
  if (!isWhole) throw new Error(`a half answer in a stream: ${text.slice(-300)}`);
  return text;
}
