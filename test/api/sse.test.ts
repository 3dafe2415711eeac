/** Server-sent events as bytes on a stream. */

import { expect, test } from "vitest";
import { comment, DONE, type Frames, frame, sseResponse } from "../../shared/api/sse.ts";

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
  const response = sseResponse(framesOf([frame(1), "", frame(2), DONE]));
  expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
  expect(response.headers.get("cache-control")).toContain("no-cache");
  expect(await response.text()).toBe("data: 1\n\ndata: 2\n\ndata: [DONE]\n\n");
});

test("frames that are ready together are sent together, and none waits for one that is not", async () => {
  const texts = [frame(1), frame(2), comment("pause"), frame(3)];
  const reader = sseResponse({
    ...framesOf([]),
    async next() {
      const text = texts.shift() ?? null;
      if (text === comment("pause")) await pause(20);
      return text;
    },
  }).body!.getReader();
  const decoder = new TextDecoder();
  expect(decoder.decode((await reader.read()).value)).toBe(frame(1) + frame(2));
  expect(decoder.decode((await reader.read()).value)).toBe(comment("pause") + frame(3));
  expect((await reader.read()).done).toBe(true);
});

test("nothing for a while: comments keep the connection, no frame is lost", async () => {
  const text = await sseResponse(framesOf([frame(1), frame(2)], 60), 20).text();
  expect(text.match(/: keep-alive/g)!.length).toBeGreaterThanOrEqual(2);
  expect(text.replaceAll(": keep-alive\n\n", "")).toBe("data: 1\n\ndata: 2\n\n");
});

test("a failure is the last frame", async () => {
  const text = await sseResponse(framesOf([frame(1), new Error("broke")])).text();
  expect(text).toBe('data: 1\n\ndata: {"error":"broke"}\n\n');
});

test("a reader who leaves is told on", async () => {
  const frames = framesOf([frame(1), frame(2)], 5);
  const reader = sseResponse(frames).body!.getReader();
  await reader.read();
  await reader.cancel();
  expect(frames.isCancelled).toBe(true);
});
