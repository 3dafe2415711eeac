/** Server-sent events: frames, comments, and a reply that carries them and stays alive while nothing happens. */

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

export function sseResponse(frames: Frames, keepAliveMs = KEEP_ALIVE_MS): Response {
  const encoder = new TextEncoder();
  let pending: Promise<string | null> | null = null;
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        for (;;) {
          pending ??= frames.next();
          const text = await withKeepAlive(pending, keepAliveMs).catch((error: unknown) => {
            controller.enqueue(encoder.encode(frames.onError(error)));
            return null;
          });
          if (text === KEEP_ALIVE) return controller.enqueue(encoder.encode(comment("keep-alive")));
          pending = null;
          if (text === null) return controller.close();
          if (text !== "") return controller.enqueue(encoder.encode(text as string));
        }
      },
      async cancel() {
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

const KEEP_ALIVE = Symbol("keep-alive");

/** The promise's value, or KEEP_ALIVE where it takes too long; the promise itself goes on. */
async function withKeepAlive<Value>(promise: Promise<Value>, milliseconds: number): Promise<Value | symbol> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const tick = new Promise<symbol>((resolve) => {
    timer = setTimeout(() => resolve(KEEP_ALIVE), milliseconds);
  });
  try {
    return await Promise.race([promise, tick]);
  } finally {
    clearTimeout(timer);
  }
}
