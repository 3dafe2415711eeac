/** Requests as a client makes them: JSON in, JSON or server-sent events out. */

/** The same numbers for the same seed. */
export { mulberry32 as randomOf } from "../ops/seeded.ts";

export type Json = Record<string, unknown>;

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: whatever a reply holds; the tests say what they expect of it
  readonly json: any;
}

export interface SendOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** An object is sent as JSON, anything else as it is. */
export function fetchFrom(
  server: { readonly url: string },
  key: string | null,
  method: string,
  path: string,
  body?: Json | Uint8Array | string,
  { headers = {}, signal }: SendOptions = {},
): Promise<Response> {
  const isRaw = typeof body === "string" || body instanceof Uint8Array;
  return fetch(server.url + path, {
    method,
    headers: {
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: isRaw ? (body as string) : JSON.stringify(body) }),
    ...(signal ? { signal } : {}),
  });
}

export async function send(...args: Parameters<typeof fetchFrom>): Promise<Reply> {
  const response = await fetchFrom(...args);
  const text = await response.text();
  return { status: response.status, headers: response.headers, text, json: tryParse(text) };
}

/** `send` for requests that have to succeed. */
export async function ask(...args: Parameters<typeof fetchFrom>): Promise<Reply["json"]> {
  const { status, text, json } = await send(...args);
  if (status !== 200) throw new Error(`${args[2]} ${args[3]} was answered with ${status}: ${text.slice(0, 500)}`);
  return json;
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** One event of a response's stream. */
export interface StreamEvent {
  readonly type: string;
  readonly sequence_number: number;
  readonly [field: string]: unknown;
}

/** The blocks of a stream: events as JSON, comments as text, [DONE] as null. */
export async function* blocks(response: Response): AsyncGenerator<StreamEvent | string | null> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of response.body as ReadableStream<Uint8Array>) {
    const complete = (rest + decoder.decode(chunk, { stream: true })).split("\n\n");
    rest = complete.pop() as string;
    for (const block of complete) {
      if (block.startsWith(":")) yield block;
      else {
        const data = block.slice(block.indexOf("data: ") + "data: ".length);
        yield data === "[DONE]" ? null : (JSON.parse(data) as StreamEvent);
      }
    }
  }
}

export async function eventsOf(response: Response): Promise<StreamEvent[]> {
  const events: StreamEvent[] = [];
  for await (const block of blocks(response)) if (block !== null && typeof block === "object") events.push(block);
  return events;
}

export const outputOf = (response: { output: { content: { text: string }[] }[] }): string =>
  response.output[0].content[0].text;
