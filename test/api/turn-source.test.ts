/** A turn's events from a stream of bytes, however it is cut, and again after it broke. */

import { expect, test } from "vitest";
import { drain, fromComputation, fromStream, lines, rejoining } from "../../shared/api/turn-source.ts";
import type { TurnEvent } from "../../shared/conversation/types.ts";

const text = (ordinal: number, node = 0): TurnEvent => ({ type: "text", node, ordinal, text: `ä${ordinal} ` });
const end = (node = 0) => ({ type: "end", texts: 3, response: { node } }) as TurnEvent;
const start = (node = 0) => ({ type: "start", response: { node } }) as TurnEvent;
const whole = [start(), text(0), text(1), text(2), end()];

function streamOf(events: readonly TurnEvent[], { piece = 7, breaks = false } = {}): ReadableStream<Uint8Array> {
  const bytes = new TextEncoder().encode(events.map((event) => `${JSON.stringify(event)}\n`).join(""));
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at < bytes.length) {
        controller.enqueue(bytes.slice(at, at + piece));
        at += piece;
      } else if (breaks) controller.error(new Error("connection lost"));
      else controller.close();
    },
  });
}

async function all(source: { next(): Promise<TurnEvent | null> }): Promise<TurnEvent[]> {
  const events = [];
  for (let event = await source.next(); event !== null; event = await source.next()) events.push(event);
  return events;
}

test.each([1, 2, 7, 1000])("NDJSON in pieces of %i bytes, multi-byte characters cut in two", async (piece) => {
  expect(await all(fromStream(streamOf(whole, { piece })))).toStrictEqual(whole);
});

test("lines: whoever stops early cancels the stream", async () => {
  let isCancelled = false;
  const stream = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new TextEncoder().encode("{}\n")),
    cancel() {
      isCancelled = true;
    },
  });
  for await (const _ of lines(stream)) break;
  expect(isCancelled).toBe(true);
});

test("cancel ends a read under way", async () => {
  const source = fromStream(new ReadableStream<Uint8Array>({}));
  const pending = source.next();
  await source.cancel();
  expect(await pending).toBe(null);
});

test("a stream that breaks is joined again: every event once", async () => {
  const port = { events: async () => ({ ok: true, value: streamOf(whole) }) as const };
  const broken = fromStream(streamOf(whole.slice(0, 3), { breaks: true }));
  expect(await all(rejoining(broken, port, [0], false))).toStrictEqual(whole);
});

test("likewise with several responses, read again one after the other", async () => {
  const asked: number[] = [];
  const port = {
    events: async (node: number) => {
      asked.push(node);
      return {
        ok: true,
        value: streamOf([start(node), text(0, node), text(1, node), text(2, node), end(node)]),
      } as const;
    },
  };
  const broken = fromStream(streamOf([start(0), start(1), text(0, 0), text(0, 1), end(0)], { breaks: true }));
  const events = await all(rejoining(broken, port, [0, 1], false));
  expect(asked).toStrictEqual([1]);
  expect(events.filter((event) => "node" in event && event.node === 1)).toHaveLength(3);
});

test("one break among many choices: each is joined again without waiting", async () => {
  const nodes = Array.from({ length: 12 }, (_, node) => node);
  const port = { events: async (node: number) => ({ ok: true, value: streamOf([start(node), end(node)]) }) as const };
  const broken = fromStream(streamOf([start(0)], { breaks: true }));
  const began = performance.now();
  const events = await all(rejoining(broken, port, nodes, false));
  expect(events.filter(({ type }) => type === "end")).toHaveLength(12);
  expect(performance.now() - began).toBeLessThan(1000); // one pause of 200 ms
});

test("an object that is not back yet is asked again, and each new event gives back all tries", async () => {
  let calls = 0;
  const port = {
    async events() {
      calls++;
      if (calls % 2 === 1) throw new Error("the object was reset");
      return { ok: true, value: streamOf(whole.slice(0, 1 + calls / 2), { breaks: calls < 8 }) } as const;
    },
  };
  const broken = fromStream(streamOf(whole.slice(0, 1), { breaks: true }));
  expect(await all(rejoining(broken, port, [0], false))).toStrictEqual(whole);
  expect(calls).toBe(8); // more than five
});

test("a response that is gone meanwhile ends the reading with its refusal", async () => {
  const error = { status: 404, code: "response_not_found", message: "gone", param: null } as const;
  const source = rejoining(
    fromStream(streamOf([start()], { breaks: true })),
    { events: async () => ({ ok: false, error }) },
    [0],
    false,
  );
  await expect(all(source)).rejects.toMatchObject({ refusal: error });
});

test("drain leaves when the request is aborted", async () => {
  const abort = new AbortController();
  const ended = drain(fromStream(new ReadableStream<Uint8Array>({})), abort.signal);
  abort.abort();
  expect(await ended).toStrictEqual([]);
});

test("a computation that throws because its reader left has just ended", async () => {
  const source = await fromComputation(async function* (signal) {
    yield start();
    await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    signal.throwIfAborted();
  }, Date.now);
  expect(await source.next()).toStrictEqual(start());
  const pending = source.next();
  await source.cancel();
  expect(await pending).toBe(null);
});

test("one that fails tells so", async () => {
  const source = await fromComputation(async function* () {
    yield start();
    throw new Error("no memory");
  }, Date.now);
  await source.next();
  await expect(source.next()).rejects.toThrow("no memory");
});
