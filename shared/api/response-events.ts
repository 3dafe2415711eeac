/** The stream of /v1/responses: official events with their numbers, a pure function of a turn's events. */

import type { ResponseRecord, TurnEvent } from "../conversation/types.ts";
import type { ResponseEvent } from "../protocol/response-events.ts";
import { outputMessage, outputPart, type ResponseIds, responseObject } from "./response-object.ts";
import { outputLogprobs } from "./usage.ts";

/**
 * Numbers: 0 created, 1 in_progress, 2 item added, 3 part added, 4 + k the k-th text, then four more after the last.
 * They depend on the texts' ordinals alone, so a reader can leave and go on behind any number.
 */
const FIRST_TEXT = 4;

export function encodeResponseEvent(ids: ResponseIds, event: TurnEvent): ResponseEvent[] {
  switch (event.type) {
    case "start":
      return opening(ids, event.response);
    case "text":
      return [
        {
          type: "response.output_text.delta",
          ...inContent(ids),
          delta: event.text,
          logprobs: outputLogprobs(event.logprobs),
          sequence_number: FIRST_TEXT + event.ordinal,
        },
      ];
    case "end":
      return closing(ids, event.response, FIRST_TEXT + event.texts);
    case "prefill":
      return [];
    default:
      return event satisfies never;
  }
}

/** As at the response's beginning, whatever has become of it since: read again, the stream is the same. */
function opening(ids: ResponseIds, record: ResponseRecord): ResponseEvent[] {
  const begun = { ...record, status: "in_progress", completedAt: null, error: null, usage: null } as const;
  const response = responseObject(ids, begun);
  const empty = { output: "", logprobs: null };
  return [
    { type: "response.created", response, sequence_number: 0 },
    { type: "response.in_progress", response, sequence_number: 1 },
    {
      type: "response.output_item.added",
      output_index: 0,
      item: { id: ids.message, type: "message", status: "in_progress", role: "assistant", content: [] },
      sequence_number: 2,
    },
    { type: "response.content_part.added", ...inContent(ids), part: outputPart(empty), sequence_number: 3 },
  ];
}

function closing(ids: ResponseIds, record: ResponseRecord, first: number): ResponseEvent[] {
  const part = outputPart(record);
  return [
    {
      type: "response.output_text.done",
      ...inContent(ids),
      text: part.text,
      logprobs: part.logprobs,
      sequence_number: first,
    },
    { type: "response.content_part.done", ...inContent(ids), part, sequence_number: first + 1 },
    {
      type: "response.output_item.done",
      output_index: 0,
      item: outputMessage(ids, record),
      sequence_number: first + 2,
    },
    { type: lastType(record), response: responseObject(ids, record), sequence_number: first + 3 },
  ];
}

/** OpenAI has no event for a cancelled response: it ends as incomplete, its status says why. */
function lastType({ status }: ResponseRecord) {
  if (status === "completed") return "response.completed" as const;
  return status === "failed" ? ("response.failed" as const) : ("response.incomplete" as const);
}

function inContent(ids: ResponseIds) {
  return { item_id: ids.message, output_index: 0, content_index: 0 };
}
