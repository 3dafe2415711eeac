/** Server-sent events as bytes on a stream. */

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { comment, DONE, type Frames, frame, sseResponse } from "../../shared/api/sse.ts";
import { PAUSE_SECONDS, Patience, STEADY_BYTES_PER_SECOND } from "../../shared/conversation/patience.ts";

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function framesOf(texts: readonly (string | Error)[], delayMs = 0): Frames & { isCancelled: boolean } {
  const left = [...texts];
  return {
    isCancelled: false,
    async next() {
      await pause(delayMs);
      const text = left.shift() ?? null;
      if (text instanceof Error) throw text;
      return text;
    },
    onError: (error) => frame({ error: (error as Error).message }),
    cancel() {
      this.isCancelled = true;
    },
  };
}

test("a frame is one line of JSON, whatever is in it", () => {
  expect(frame({ text: "a\nb\u2028\r\n" })).toBe(`data: {"text":"a\\nb\u2028\\r\\n"}\n\n`);
  expect(frame({}, "response.created")).toBe("event: response.created\ndata: {}\n\n");
  expect(comment("prefill 1/2")).toBe(": prefill 1/2\n\n");
});

test("frames are sent in order, empty ones are not", async () => {
  const response = sseResponse(framesOf([frame(1), "", frame(2), DONE]), null);
  expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
  expect(response.headers.get("cache-control")).toContain("no-cache");
  expect(await response.text()).toBe("data: 1\n\ndata: 2\n\ndata: [DONE]\n\n");
});

test("frames that are ready together are sent together, and none waits for one that is not", async () => {
  const texts = [frame(1), frame(2), comment("pause"), frame(3)];
  const reader = sseResponse(
    {
      ...framesOf([]),
      async next() {
        const text = texts.shift() ?? null;
        if (text === comment("pause")) await pause(20);
        return text;
      },
    },
    null,
  ).body!.getReader();
  const decoder = new TextDecoder();
  expect(decoder.decode((await reader.read()).value)).toBe(frame(1) + frame(2));
  expect(decoder.decode((await reader.read()).value)).toBe(comment("pause") + frame(3));
  expect((await reader.read()).done).toBe(true);
});

test("nothing for a while: comments keep the connection, no frame is lost", async () => {
  const text = await sseResponse(framesOf([frame(1), frame(2)], 60), null, 20).text();
  expect(text.match(/: keep-alive/g)!.length).toBeGreaterThanOrEqual(2);
  expect(text.replaceAll(": keep-alive\n\n", "")).toBe("data: 1\n\ndata: 2\n\n");
});

test("a failure is the last frame", async () => {
  const text = await sseResponse(framesOf([frame(1), new Error("broke")]), null).text();
  expect(text).toBe('data: 1\n\ndata: {"error":"broke"}\n\n');
});

test("a reader who leaves is told on", async () => {
  const frames = framesOf([frame(1), frame(2)], 5);
  const reader = sseResponse(frames, null).body!.getReader();
  await reader.read();
  await reader.cancel();
  expect(frames.isCancelled).toBe(true);
});

describe("a reply that is computed only while it is read", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  const piece = (at: number) => frame(`${at} ${"x".repeat(STEADY_BYTES_PER_SECOND / 2)}`);
  const pieces = Array.from({ length: 400 }, (_, at) => piece(at));

  function reading() {
    const frames = framesOf(pieces, 1); // each takes a while, so that it is sent by itself
    const reader = sseResponse(frames, new Patience(Date.now)).body!.getReader();
    const read = async () => {
      const result = reader.read();
      await vi.advanceTimersByTimeAsync(5);
      const { done, value } = await result;
      return done ? null : new TextDecoder().decode(value);
    };
    /** Until the end, with so many milliseconds between any two. */
    const readAll = async (paceMs: number) => {
      let all = "";
      for (let text = await read(); text !== null; text = await read()) {
        all += text;
        await vi.advanceTimersByTimeAsync(paceMs);
      }
      return all;
    };
    return { frames, reader, read, readAll };
  }

  test("comes whole to a slow reader who goes on", async () => {
    expect(await reading().readAll(450)).toBe(pieces.join(""));
    expect(vi.getTimerCount()).toBe(0);
  });

  test("waits for a reader who pauses, and longer for one who has read much", async () => {
    const { frames, reader, read } = reading();
    await vi.advanceTimersByTimeAsync(1000 * PAUSE_SECONDS - 1000);
    for (let at = 0; at < 200; at++) await read();
    await vi.advanceTimersByTimeAsync(1000 * 99);
    expect(frames.isCancelled).toBe(false);
    await reader.cancel();
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each([
    ["stops", 1000 * (PAUSE_SECONDS + 1)],
    ["takes a piece now and then", 10_000],
  ])("ends in an error where its reader %s", async (_, paceMs) => {
    const { readAll } = reading();
    const text = await readAll(paceMs);
    const [last, ...before] = text.trimEnd().split("\n\n").toReversed();
    expect(last).toMatch(/^data: \{"error":"the reply was read too slowly: a client may pause for 60 seconds/);
    expect(pieces.join("").startsWith(`${before.toReversed().join("\n\n")}\n\n`)).toBe(true);
    expect(before.length).toBeLessThan(pieces.length / 8);
    expect(vi.getTimerCount()).toBe(0);
  });
});
