/** Server-sent events: frames, comments, and a reply that carries them and stays alive while nothing happens. */

import { ClientTooSlow, type Patience } from "../conversation/patience.ts";

/** Shorter than the idle timeouts of common proxies (30 s and up). */
const KEEP_ALIVE_MS = 15_000;

export const DONE = "data: [DONE]\n\n";

/** JSON has no bare line break, so one line holds it. */
export function frame(data: unknown, event?: string): string {
  return `${event ? `event: ${event}\n` : ""}data: ${JSON.stringify(data)}\n\n`;
}

/** Not an event: clients skip it, connections stay open. */
export function comment(text: string): string {
  return `: ${text}\n\n`;
}

export interface Frames {
  /** The next text to send, "" for none yet, null at the end. Not called again before it has answered. */
  next(): Promise<string | null>;
  /** What to send last when `next` fails. */
  onError(error: unknown): string;
  /** The client is gone. */
  cancel(): unknown;
}

/** Frames that are ready together are sent together: a write costs as much as several tokens do. */
const MAX_BATCH_CHARACTERS = 16_384;

/** `patience`: with the reader, for whom something is held; it ends as after any error where the reader is too slow. */
export function sseResponse(frames: Frames, patience: Patience | null, keepAliveMs = KEEP_ALIVE_MS): Response {
  const encoder = new TextEncoder();
  let pending: Promise<string | null> | null = null;
  let unreadBytes = 0;
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        patience?.goOn(unreadBytes);
        const send = (text: string) => {
          const bytes = encoder.encode(text);
          unreadBytes = bytes.length;
          controller.enqueue(bytes);
          patience?.wait(() => {
            controller.enqueue(encoder.encode(frames.onError(readTooSlowly())));
            controller.close();
          });
        };
        let batch = "";
        while (batch.length < MAX_BATCH_CHARACTERS) {
          pending ??= frames.next();
          // With something to send: only what is ready by the next turn of the event loop.
          const text = await within(pending, batch === "" ? keepAliveMs : 0).catch((error: unknown) => {
            batch += frames.onError(error);
            return null;
          });
          if (text === LATE) return send(batch === "" ? comment("keep-alive") : batch);
          pending = null;
          if (text === null) {
            if (batch !== "") send(batch);
            patience?.stop();
            return controller.close();
          }
          batch += text;
        }
        send(batch);
      },
      async cancel() {
        patience?.stop();
        await frames.cancel();
      },
    },
    { highWaterMark: 1 },
  );
  return new Response(body, {
    status: 200,
    headers: {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache, no-transform",
      "x-accel-buffering": "no", // nginx would hold the events back
    },
  });
}

const readTooSlowly = () =>
  new ClientTooSlow("the reply was read too slowly", "a response that is kept can be read at any pace");

const LATE = Symbol("late");

/** The promise's value, or LATE where it takes longer; the promise itself goes on. */
async function within<Value>(promise: Promise<Value>, milliseconds: number): Promise<Value | typeof LATE> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<typeof LATE>((resolve) => {
    timer = setTimeout(() => resolve(LATE), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
