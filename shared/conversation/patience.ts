/**
 * How long a place to compute, and the memory that goes with it, is kept for a client that has to read or send something
 * first. Whoever stops loses it, so that it comes back to those who were told to try again; whoever goes on keeps it.
 */

import { RefusedError } from "./refusal.ts";

/** A network's hiccup, or a client that is busy with what it has. */
export const PAUSE_SECONDS = 60;

/** The slowest pace that is one: a tenth of what a reply of 300 tokens a second takes. */
export const STEADY_BYTES_PER_SECOND = 8192;

/** Longer than any step in which buffers of megabytes empty at that pace. */
export const LONGEST_PAUSE_SECONDS = 300;

export class ClientTooSlow extends RefusedError {
  constructor(what: string, advice: string) {
    super(
      408,
      "client_too_slow",
      `${what}: a client may pause for ${PAUSE_SECONDS} seconds, and one more for every ${STEADY_BYTES_PER_SECOND} bytes, up to ${LONGEST_PAUSE_SECONDS}; ${advice}`,
    );
  }
}

/** With one client. Time that is not waited for it does not count. */
export class Patience {
  readonly #now: () => number;
  #leftMs = 1000 * PAUSE_SECONDS;
  #since: number | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `now`: milliseconds since 1970. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** It is the client's turn. Calls `onLost` unless `goOn` or `stop` is called in time. */
  wait(onLost: () => void): void {
    this.#since = this.#now();
    this.#timer = setTimeout(onLost, Math.max(0, this.#leftMs));
  }

  /**
   * It took, or sent, so many bytes. What it did a while ago counts as well: buffers on the way fill at once and empty in
   * large steps, which are no pauses of the client's.
   */
  goOn(bytes: number): void {
    this.stop();
    this.#leftMs += (1000 * bytes) / STEADY_BYTES_PER_SECOND;
    this.#leftMs = Math.min(this.#leftMs, 1000 * LONGEST_PAUSE_SECONDS);
  }

  /** It is not waited for any more. */
  stop(): void {
    clearTimeout(this.#timer);
    if (this.#since !== null) this.#leftMs -= this.#now() - this.#since;
    this.#since = null;
  }
}

/** What a client sends; fails with a `ClientTooSlow` where it does not come steadily. */
export function sentSteadily(stream: ReadableStream<Uint8Array>, now: () => number): ReadableStream<Uint8Array> {
  const reader = stream.getReader();
  const patience = new Patience(now);
  const next = () =>
    new Promise<Awaited<ReturnType<typeof reader.read>>>((resolve, reject) => {
      patience.wait(() => {
        reject(new ClientTooSlow("the body was sent too slowly", "send the request again"));
        void reader.cancel().catch(() => undefined);
      });
      reader.read().then(resolve, reject);
    });
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await next().finally(() => patience.stop());
        if (done) return controller.close();
        patience.goOn(value.byteLength);
        controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 }, // nobody waits before the reader does
  );
}

/** Small enough to be taken in a few seconds at the slowest pace. */
const PIECE_BYTES = 2 ** 16;

/**
 * What a client is sent: the bytes of `files`, one behind the other, in pieces. Breaks off with a `ClientTooSlow` where they are
 * not taken steadily. `onOver` is called once nothing of them is held any more.
 */
export function takenSteadily(
  files: readonly Uint8Array[],
  now: () => number,
  onOver: () => unknown,
): ReadableStream<Uint8Array> {
  const patience = new Patience(now);
  const left = [...files];
  let at = 0;
  let untakenBytes = 0;
  let breakOff: (error: ClientTooSlow) => unknown = () => undefined;
  const end = () => {
    patience.stop();
    left.length = 0;
    onOver();
  };
  const wait = () =>
    patience.wait(() => {
      end();
      breakOff(new ClientTooSlow("the file was read too slowly", "ask for it again"));
    });
  return new ReadableStream({
    type: "bytes",
    start(controller) {
      breakOff = (error) => controller.error(error);
      wait();
    },
    pull(controller) {
      patience.goOn(untakenBytes);
      while (left.length > 0 && at === left[0].length) {
        left.shift();
        at = 0;
      }
      if (left.length === 0) {
        end();
        return controller.close();
      }
      const piece = left[0].slice(at, at + PIECE_BYTES); // a byte stream takes the buffer away
      untakenBytes = piece.length;
      at += piece.length;
      controller.enqueue(piece);
      wait();
    },
    cancel: end,
  });
}
