/** The events of a turn, one after the other, wherever they are computed; and the leave to stop asking for them. */

import { Patience } from "../conversation/patience.ts";
import type { ConversationPort, Refusal, ResponseRecord, TurnEvent } from "../conversation/types.ts";

export interface TurnSource {
  /** With a reader for whom a place to compute is held; null: it can be read at any pace. */
  readonly patience: Patience | null;
  /** null: there are no more. */
  next(): Promise<TurnEvent | null>;
  /** The reader leaves: a `next` under way ends. What becomes of the turn is the turn's own affair (`whenUnread`). */
  cancel(): Promise<void>;
}

/** From the NDJSON that a conversation sends. */
export function fromStream(stream: ReadableStream<Uint8Array>): TurnSource {
  const reader = stream.getReader();
  const events = parsedLines<TurnEvent>(reader);
  return {
    patience: null,
    next: async () => (await events.next()).value ?? null,
    // Of the reader, not of the generator: it ends a read under way. A stream that broke has nothing left to cancel.
    cancel: () => reader.cancel().catch(() => {}),
  };
}

/** The values of an NDJSON stream. Whoever stops iterating cancels it. */
export async function* lines<Value>(stream: ReadableStream<Uint8Array>): AsyncGenerator<Value, void> {
  const reader = stream.getReader();
  try {
    yield* parsedLines<Value>(reader);
  } finally {
    await reader.cancel().catch(() => {});
  }
}

async function* parsedLines<Value>(reader: ReadableStreamDefaultReader<Uint8Array>): AsyncGenerator<Value, void> {
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    const complete = (rest + decoder.decode(value, { stream: !done })).split("\n");
    rest = done ? "" : complete.pop()!;
    for (const line of complete) if (line !== "") yield JSON.parse(line);
    if (done) return;
  }
}

/**
 * From a computation in this isolate. Its first event is awaited here, so that a refusal is thrown before the reply begins.
 * `now`: milliseconds since 1970.
 */
export async function fromComputation(
  run: (signal: AbortSignal) => AsyncIterable<TurnEvent>,
  now: () => number,
): Promise<TurnSource & { readonly first: TurnEvent | null }> {
  const abort = new AbortController();
  const iterator = run(abort.signal)[Symbol.asyncIterator]();
  const step = async () => {
    const { done, value } = await iterator.next();
    return done ? null : value;
  };
  const first = await step();
  // A computation may end by throwing that it was aborted: to the reader who left, that is its end.
  const unlessLeft = (error: unknown) => {
    if (abort.signal.aborted) return null;
    throw error;
  };
  let pending: TurnEvent | null = first;
  return {
    first,
    patience: new Patience(now),
    async next() {
      if (abort.signal.aborted) return null;
      if (pending === null) return step().catch(unlessLeft);
      const event = pending;
      pending = null;
      return event;
    },
    async cancel() {
      abort.abort();
      await iterator.return?.().catch(() => {});
    },
  };
}

/** Tries to join a turn again without a single new event, each after a longer pause. */
const REJOINS = 5;
const REJOIN_PAUSE_MS = 200;

/**
 * A turn that goes on although its object restarts: where the stream breaks off before every response has ended, the
 * responses' events are read again from the log and those already seen are left out.
 */
export function rejoining(
  first: TurnSource,
  port: Pick<ConversationPort, "events">,
  nodes: readonly number[],
  quiet: boolean,
): TurnSource {
  const open = new Map(nodes.map((node) => [node, { started: false, texts: 0 }]));
  let source = first;
  let joined: number | null = null; // the response whose events `source` has, where it is not all of them
  let left = REJOINS;
  let isCancelled = false;

  const isNew = (event: TurnEvent): boolean => {
    const node = "response" in event ? event.response.node : event.node;
    const seen = open.get(node);
    if (!seen) return false;
    const isNext = event.type === "start" ? !seen.started : event.type === "text" ? event.ordinal === seen.texts : true;
    if (event.type === "start") seen.started = true;
    if (event.type === "text" && isNext) seen.texts++;
    if (event.type === "end") open.delete(node);
    if (isNext) left = REJOINS;
    return isNext;
  };

  async function rejoin(): Promise<void> {
    await source.cancel();
    const [node] = open.keys();
    const hasEnded = joined !== null && !open.has(joined);
    joined = node!;
    let cause: unknown;
    for (let mustWait = !hasEnded; ; mustWait = true) {
      if (mustWait) {
        if (left-- === 0) throw new Error("the turn's events broke off and could not be joined again", { cause });
        await new Promise<void>((resolve) => setTimeout(resolve, REJOIN_PAUSE_MS * 2 ** (REJOINS - 1 - left)));
      }
      if (isCancelled) return;
      const answer = await port.events(node!, { quiet }).catch((error: unknown) => {
        cause = error; // most likely the object is not back yet
        return null;
      });
      if (answer === null) continue;
      if (!answer.ok) throw new RefusedJoin(answer.error);
      source = fromStream(answer.value);
      return;
    }
  }

  return {
    patience: null,
    async next() {
      while (open.size > 0 && !isCancelled) {
        const event = await source.next().catch(() => null);
        if (isCancelled) break;
        if (event === null) await rejoin();
        else if (isNew(event)) return event;
      }
      return null;
    },
    async cancel() {
      isCancelled = true;
      await source.cancel();
    },
  };
}

class RefusedJoin extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(refusal.message);
    this.refusal = refusal;
  }
}

/** The ended responses of a turn in the order of `nodes`, for a reply in one piece. Leaves when `signal` says so. */
export async function drain(
  source: TurnSource,
  signal: AbortSignal | undefined,
  onEnd: (response: ResponseRecord) => unknown = () => {},
): Promise<ResponseRecord[]> {
  const leave = () => void source.cancel();
  if (signal?.aborted) leave();
  signal?.addEventListener("abort", leave, { once: true });
  try {
    const ended: ResponseRecord[] = [];
    for (let event = await source.next(); event !== null; event = await source.next()) {
      if (event.type !== "end") continue;
      ended.push(event.response);
      await onEnd(event.response);
    }
    return ended.sort((a, b) => a.node - b.node);
  } finally {
    signal?.removeEventListener("abort", leave);
  }
}
