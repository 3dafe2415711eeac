/** A response's events as an SSE reply, from any place on. */

import type { ResponseRecord } from "../conversation/types.ts";
import { type Scope, tellError } from "./context.ts";
import { encodeResponseEvent } from "./response-events.ts";
import type { ResponseIds } from "./response-object.ts";
import { comment, type Frames, frame, sseResponse } from "./sse.ts";
import type { TurnSource } from "./turn-source.ts";

/** `after`: only events with a higher number. */
export function responseStream(
  scope: Scope,
  source: TurnSource,
  idsOf: (record: ResponseRecord) => Promise<ResponseIds>,
  after = -1,
): Response {
  let ids: ResponseIds | null = null;
  let last = after;
  const frames: Frames = {
    async next() {
      const event = await source.next();
      if (event === null) return null;
      if (event.type === "prefill") return comment(`prefill ${event.done}/${event.total}`);
      if ("response" in event) ids ??= await idsOf(event.response);
      if (ids === null) throw new Error("a turn's first event is its start");
      let frames = "";
      for (const encoded of encodeResponseEvent(ids, event)) {
        if (encoded.sequence_number <= after) continue;
        last = encoded.sequence_number;
        frames += frame(encoded, encoded.type);
      }
      return frames;
    },
    onError(error) {
      void source.cancel();
      const { message, code, param } = tellError(scope, error).error;
      return frame({ type: "error", code, message, param, sequence_number: last + 1 }, "error");
    },
    cancel: () => source.cancel(),
  };
  return sseResponse(frames, source.patience);
}
